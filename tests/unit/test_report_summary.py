"""The five sentences of `retention report --summary`: figures as people write them."""

from pathlib import Path

import pytest
from support.published_sample import make_published

from retention_pipeline.cli.reports import report
from retention_pipeline.report.summary import sentences
from retention_pipeline.warehouse import opened


def test_shares_are_written_in_per_cent_and_amounts_with_their_currency(tmp_path: Path) -> None:
    home = make_published(tmp_path / "home")
    with opened(home.current, read_only=True) as connection:
        moved, sure, *_ = sentences(connection, "EUR")
    moved = moved.replace("\N{NO-BREAK SPACE}", " ")
    assert moved.startswith("In February 2024, customer churn rate of subscribers was 3.0 % (after 3.0 %); ")
    assert "customer churn rate of buyers was 5.0 % (after 6.0 %)" in moved
    assert "MRR at the end was € 5,500" in moved and "order revenue was € 23,457" in moved
    assert "between 2.0 % and 4.0 %" in sure


def test_a_change_is_not_put_down_to_a_segment_that_moved_the_other_way(tmp_path: Path) -> None:
    home = make_published(tmp_path / "home")
    lost = "kpi = 'customers_lost' and basis = 'subscription' and grain = 'month' and segment_dimension = 'all'"
    with opened(home.current) as connection:
        connection.execute(f"update retention_kpis set value = 1 where {lost} and period_start = date '2024-01-01'")
        connection.execute("delete from retention_kpis where segment_dimension <> 'all'")
        for country, before, now in (("NL", 40, 10), ("BE", 0, 1)):
            connection.execute(
                f"""
                insert into retention_kpis
                select * replace ('country' as segment_dimension, $1 as segment_value,
                    case when period_start = date '2024-02-01' then $3 else $2 end as value)
                from retention_kpis
                where {lost} and period_start in (date '2024-01-01', date '2024-02-01')
                """,
                [country, before, now],
            )
        told = sentences(connection, "EUR")
    assert "The largest part of the change is country BE: it lost 1 customer, 1 more than the month before." in told


def test_that_there_is_nothing_to_sum_up_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_published(tmp_path / "home")
    with opened(home.current) as connection:
        connection.execute("delete from retention_kpis")
    report(home.root, is_opened=False, summary=True, charts=None, form="png")
    assert capsys.readouterr().out.strip() == "No month that is complete has figures yet."
