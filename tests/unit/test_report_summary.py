"""The five sentences of `retention report --summary`: figures as people write them."""

from pathlib import Path

from support.published_sample import make_published

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
