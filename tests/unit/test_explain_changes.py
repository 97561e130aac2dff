"""Explanations as far as no facts are needed: names of periods, words of definitions, effects of segments, printing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from rich.console import Console

from retention_pipeline.cli import print_explain
from retention_pipeline.cli.explaining import write_csv
from retention_pipeline.cli.print_explain import print_members, print_since, print_steps, signed, step
from retention_pipeline.history.restatement_tables import NOT_LISTED
from retention_pipeline.history.since import Row as HistoryRow
from retention_pipeline.history.since import Since, line_of
from retention_pipeline.history.since import Step as Caused
from retention_pipeline.kpis.registry import BY_ID, KPIS
from retention_pipeline.read.decomposition import Side, effects_by_dimension, of_dimension
from retention_pipeline.read.explain import Member, PartChange, Step, filled_in
from retention_pipeline.read.facts import FACTS, OF_FAMILIES, OF_MEASURES, kinds_behind
from retention_pipeline.read.members import Cell, columns_in, parts_of
from retention_pipeline.read.named_periods import named_period
from retention_pipeline.read.published import UnknownName


@pytest.fixture(scope="module")
def calendar() -> Iterator[duckdb.DuckDBPyConnection]:
    """Weeks from Sunday on, a fiscal year that begins in April."""
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table periods as
            select 'month' as grain, d::date as period_start, (d + interval 1 month)::date as period_end
            from range(date '2025-01-01', date '2026-07-01', interval 1 month) t(d)
            union all
            select 'week', d::date, (d + interval 7 day)::date
            from range(date '2025-01-05', date '2026-07-01', interval 7 day) t(d)
            union all
            select 'quarter', d::date, (d + interval 3 month)::date
            from range(date '2025-01-01', date '2026-07-01', interval 3 month) t(d)
            union all
            select 'year', d::date, (d + interval 1 year)::date
            from range(date '2024-04-01', date '2026-07-01', interval 1 year) t(d)
            """
        )
        yield connection


@pytest.mark.parametrize(
    ("text", "grain", "found", "before"),
    [
        ("2026-03", None, ("month", date(2026, 3, 1)), date(2026, 2, 1)),
        ("2026-Q2", None, ("quarter", date(2026, 4, 1)), date(2026, 1, 1)),
        ("2026q1", None, ("quarter", date(2026, 1, 1)), date(2025, 10, 1)),
        ("2025", None, ("year", date(2025, 4, 1)), date(2024, 4, 1)),
        ("2024", None, ("year", date(2024, 4, 1)), None),
        ("2026-W10", None, ("week", date(2026, 3, 1)), date(2026, 2, 22)),
        ("2026-03-17", "week", ("week", date(2026, 3, 15)), date(2026, 3, 8)),
        ("2026-03-17", "year", ("year", date(2025, 4, 1)), date(2024, 4, 1)),
        ("2026-05", "quarter", ("quarter", date(2026, 4, 1)), date(2026, 1, 1)),
    ],
)
def test_a_period_is_found_by_the_name_that_people_write(
    calendar: duckdb.DuckDBPyConnection, text: str, grain: str | None, found: tuple[Any, ...], before: date | None
) -> None:
    row = named_period(calendar, text, grain)
    assert ((row["grain"], row["period_start"]), row["previous_start"]) == (found, before)


@pytest.mark.parametrize(
    ("text", "grain", "said"),
    [
        ("spring", None, "is not a period"),
        ("2026-13", None, "is not a period"),
        ("2026-03-17", None, "Add --grain"),
        ("2026-Q1", "month", "is a quarter, not a month"),
        ("2031-01", None, "begin from 2025-01-01 to 2026-06-01"),
        ("2026-01", "decade", "There is no grain"),
    ],
)
def test_a_name_that_is_no_published_period_is_refused(
    calendar: duckdb.DuckDBPyConnection, text: str, grain: str | None, said: str
) -> None:
    with pytest.raises(UnknownName, match=said):
        named_period(calendar, text, grain)


def test_a_definition_names_the_settings_of_the_company() -> None:
    settings = {"mau_days": "14", "min_n": "5", "gross_margin": "0.8", "data_start": None}
    assert filled_in(BY_ID["mau"].definition, settings) == "Distinct customers active in the 14 days before the close."
    assert "at most 30 days after;" in filled_in(
        BY_ID["payment_recovery_rate"].definition, {"payment_recovery_days": "30"}
    )
    assert "opened within 7 days; not" in filled_in(BY_ID["email_open_rate"].definition, {"email_window_days": "7"})
    assert "fewer than 5 customers" in filled_in(BY_ID["customer_lifespan_years"].definition, settings)
    assert "× gross_margin (0.8) /" in filled_in(BY_ID["clv_subscription"].definition, settings)
    assert filled_in("since data_start, not customer_id", settings) == "since data_start, not customer_id"


def test_within_and_mix_of_a_worked_example() -> None:
    """Two values with 100 customers each lose 10 and 20 (15 %); then 50 and 150, who lose 5 and 30: the rates are as
    before, and the heavier share of the second makes 17.5 %.
    """
    values: dict[str, list[Side | None]] = {
        "a": [Side(10, 100, 0.1), Side(5, 50, 0.1)],
        "b": [Side(20, 100, 0.2), Side(30, 150, 0.2)],
    }
    effect = of_dimension("plan", values, Side(30, 200, 0.15), Side(35, 200, 0.175), True)
    assert effect.within == pytest.approx(0)
    assert effect.mix == pytest.approx(0.025)
    assert effect.factor == pytest.approx(0) and effect.rest == 0


@pytest.mark.parametrize("seed", range(20))
def test_effects_add_up_whatever_the_values(seed: int) -> None:
    """Values that come and go, denominators of 0, a factor that changes."""
    chance = Random(seed)
    scales = chance.choice([(1.0, 1.0), (100.0, 100.0), (0.5, 0.7)])

    def side(scale: float) -> Side:
        denominator = chance.choice([0, 0, 3, 40, 170])
        numerator = chance.randint(0, 30) if denominator or chance.random() < 0.2 else 0
        return Side(numerator, denominator, scale * numerator / denominator if denominator else 0.0)

    values = {name: [side(scale) if chance.random() < 0.8 else None for scale in scales] for name in "abcd"}
    values["e"] = [Side(7, 9, scales[0] * 7 / 9), Side(3, 11, scales[1] * 3 / 11)]
    sums = []
    for place, scale in enumerate(scales):
        there = [pair[place] for pair in values.values()]
        numerator = sum(one.numerator for one in there if one)
        denominator = sum(one.denominator for one in there if one)
        sums.append(Side(numerator, denominator, scale * numerator / denominator))
    effect = of_dimension("d", values, sums[0], sums[1], True)
    assert effect.rest == 0
    assert effect.within + effect.mix + effect.factor == pytest.approx(sums[1].value - sums[0].value)
    assert sum(one.within + one.mix for one in effect.segments) == pytest.approx(effect.within + effect.mix)


def test_there_are_no_effects_of_a_median() -> None:
    now, before = (Cell("month", date(2026, month, 1), "order") for month in (3, 2))
    with duckdb.connect() as connection:
        assert effects_by_dimension(connection, BY_ID["time_between_purchases_median"], now, before) == []


def test_every_figure_has_facts_behind_it() -> None:
    unknown = {kind for kinds in (*OF_MEASURES.values(), *OF_FAMILIES.values()) for kind in kinds} - set(FACTS)
    assert not unknown
    without = []
    for kpi in KPIS:
        columns = set().union(*map(columns_in, parts_of(kpi).values())) if parts_of(kpi) else set()
        if columns and not kinds_behind((column, kpi.family.name) for column in columns):
            without.append(kpi.id)
    assert not without
    unused = set(FACTS) - {kind for kinds in (*OF_MEASURES.values(), *OF_FAMILIES.values()) for kind in kinds}
    assert not unused


def test_steps_are_written_with_their_sign_and_unit() -> None:
    assert [step(by, "percent", None) for by in (0.0123, -0.0123, 0.00001)] == ["+1.23 pp", "−1.23 pp", "0.00 pp"]
    assert [step(by, "money", "EUR") for by in (1.5, -1.5, 0)] == ["+€ 1.50", "−€ 1.50", "€ 0.00"]
    assert [signed(number) for number in (3, 0, -3)] == ["+3", "0", "−3"]


def test_ids_and_facts_are_no_markup_no_control_characters_and_no_formulas(tmp_path: Path) -> None:
    hostile = "=[red]HYPERLINK\x1b[2J"
    console = Console(file=StringIO(), width=80)
    print_members(console, [Member(hostile, {"value": 1}, [hostile])], ["value"])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("[red]HYPERLINK\\x1b") == 2 and "\x1b" not in shown
    write_csv(tmp_path / "members.csv", [["customer_id"], [hostile], [-1]], is_guarded=True)
    assert (tmp_path / "members.csv").read_text().splitlines() == ["customer_id", f"'{hostile}", "-1"]


def test_a_factor_that_stays_the_same_has_no_effect_whatever_rounding_leaves() -> None:
    values: dict[str, list[Side | None]] = {"a": [Side(1, 35, 100 / 35), Side(-1, 39, -100 / 39)]}
    effect = of_dimension("plan", values, Side(1, 35, 100 / 35), Side(-1, 39, -100 / 39), True)
    assert effect.factor == 0 and effect.rest == 0


def test_recovered_payments_have_failed_invoices_behind_them_and_attempted_ones_all() -> None:
    assert kinds_behind([("invoices_recovered", "payments")]) == ["failed invoices"]
    assert kinds_behind([("invoices_failed", "payments"), ("invoices_attempted", "payments")]) == ["invoices"]


def printed(print_it: Callable[[Console], None]) -> str:
    console = Console(file=StringIO(), width=100)
    print_it(console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_who_enters_with_a_minus_has_the_sign() -> None:
    nothing = Step(0, 0, [])
    part = PartChange("numerator", 0, 0, Step(2, 0, [("glad", 1), ("cross", -1)]), nothing, nothing)
    assert "Entered the numerator: glad, cross −1" in printed(lambda console: print_steps(console, part))


def published(currency: str | None, value: float) -> dict[str, Any]:
    return {"currency": currency, "value": value, "period_end": date(2026, 3, 1)}


def caused(cause: str, delta: float, **more: Any) -> Caused:
    figures: dict[str, Any] = {
        "old": 44.78,
        "new": 43.73,
        "old_numerator": 900.0,
        "new_numerator": 800.5,
        "numerator_delta": -99.5,
    }
    figures |= {"old_denominator": 20.0, "new_denominator": 19.0, "denominator_delta": -1.0, "old_n": 20, "new_n": 19}
    row = HistoryRow("ada", "orders", "7", -99.5, -1.0, "landing/2.csv", None, 5)
    said: dict[str, Any] = {"rows": [row], "more": 0, "other_causes": None} | figures | more
    return Caused(published_at=datetime(2026, 3, 5), generation=2, cause=cause, delta=delta, **said)


def test_what_was_known_is_followed_once_per_publication_and_each_cause_has_its_part() -> None:
    steps = [caused("corrected", -1.0), caused("late", -0.05, numerator_delta=49.0, denominator_delta=3.0, rows=[])]
    later = Since(datetime(2026, 3, 4), datetime(2026, 3, 4), date(2026, 3, 4), True, 44.78, None, steps)
    text = printed(lambda console: print_since(console, later, published("EUR", 43.73), "money"))
    assert text.count("€ 44.78 → € 43.73") == 1
    assert "corrected: −€ 1.00 (numerator / denominator −99.50 / −1)" in text
    assert "ada −99.50 / −1: orders 7 (landing/2.csv, line 5)" in text
    assert "late: −€ 0.05 (numerator / denominator +49 / +3)" in text
    assert "the period had not ended" not in text


def test_what_came_while_the_period_was_open_is_said_not_to_be_among_restatements() -> None:
    later = Since(datetime(2026, 2, 9), datetime(2026, 2, 9), date(2026, 2, 9), True, 12.0, None, [])
    text = printed(lambda console: print_since(console, later, published("EUR", 43.73), "money"))
    assert "the period had not ended; what came until it did is no restatement" in text


def test_the_line_of_what_is_not_listed_comes_last_with_the_others_part() -> None:
    rows = [
        HistoryRow("ada", "orders", "7", -9.5, 0.0, None, None, None),
        HistoryRow(NOT_LISTED, None, None, -90.0, -1.0, None, None, None),
    ]
    later = Since(
        datetime(2026, 3, 4), datetime(2026, 3, 4), date(2026, 3, 4), True, 44.78, None,
        [caused("late", -1.05, rows=rows, more=99), caused("corrected", 0.0, rows=rows[1:])],
    )  # fmt: skip
    lines = printed(lambda console: print_since(console, later, published("EUR", 43.73), "money")).splitlines()
    assert [line.strip() for line in lines[-5:]] == [
        "ada −9.50 / 0: orders 7",
        "and 99 more rows",
        "all other customers together −90 / −1: not listed",
        "corrected: € 0.00 (numerator / denominator −99.50 / −1)",
        "all customers together −90 / −1: not listed",
    ]


def test_a_rate_belongs_to_nobody_and_moves_those_with_money_at_it() -> None:
    rows = [
        HistoryRow("dora", None, None, 0.5, None, None, None, None),
        HistoryRow(None, "fx_rates", "2026-02-18 USD", None, None, "landing/rates.csv", None, 2),
    ]
    none: dict[str, Any] = {"old_denominator": None, "new_denominator": None, "denominator_delta": None}
    later = Since(
        datetime(2026, 3, 4), datetime(2026, 3, 4), date(2026, 3, 4), True, 49.0, None,
        [caused("fx", 0.5, rows=rows, **none)],
    )  # fmt: skip
    lines = printed(lambda console: print_since(console, later, published("EUR", 49.5), "money")).splitlines()
    assert [line.strip() for line in lines[-2:]] == [
        "dora +0.50: money at a new rate",
        "fx_rates 2026-02-18 USD (landing/rates.csv, line 2)",
    ]


@pytest.mark.parametrize("started", ["2026-03-01", "2026-03-01T00:00:00Z", "2026-03-01 00:00:00.000+00"])
def test_a_row_known_by_an_instant_is_found_in_its_file(tmp_path: Path, started: str) -> None:
    file = tmp_path / "phases.csv"
    file.write_text(f"id,started\ns1,2026-02-01\ns1,{started}\ns10,{started}\n")
    assert line_of(file, "s1 2026-03-01 00:00:00", None) == 3
    file.write_text("id,started\ns1,2026-03-01T08:00:00Z\ns1,2026-03-01T10:20:30+01:00\n")
    assert line_of(file, "s1 2026-03-01 10:20:30", None) == 3


def test_what_changed_beneath_a_value_that_is_shown_as_before_is_said() -> None:
    none: dict[str, Any] = {
        name: None for name in ("old_numerator", "new_numerator", "old_denominator", "new_denominator")
    }
    of_median: dict[str, Any] = none | {
        "numerator_delta": None,
        "denominator_delta": None,
        "old": 25.0,
        "new": 25.0,
        "rows": [],
    }
    later = Since(
        datetime(2026, 3, 4), datetime(2026, 3, 4), date(2026, 3, 4), True, 25.0, None,
        [caused("late", 0.0, old_n=506, new_n=507, **of_median)],
    )  # fmt: skip
    text = printed(lambda console: print_since(console, later, published(None, 25.0), "days"))
    assert "25.0 days → 25.0 days (n 506 → 507)" in text


def test_more_customers_than_a_table_is_made_for_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_explain, "LAID_OUT_AT_MOST", 2)
    members = [
        Member("anna", {"numerator": 1, "denominator": Decimal("12.50")}, ["MRR 12.50", "a", "b", "c"]),
        Member("b\x1b[2J", {"numerator": 0, "denominator": Decimal(100)}, []),
        Member("cleo", {"numerator": 0, "denominator": Decimal(7)}, ["MRR 7"]),
    ]
    text = StringIO()
    print_members(Console(file=text, width=80), members, ["numerator", "denominator"])
    heading, *lines = text.getvalue().splitlines()
    assert heading.split() == ["Customer", "Numerator", "Denominator", "Facts"]
    assert [line.split()[:3] for line in lines] == [
        ["anna", "1", "12.50"],
        ["b\\x1b[2J", "0", "100.00"],
        ["cleo", "0", "7.00"],
    ]
    assert lines[0].index("MRR") == lines[2].index("MRR") == heading.index("Facts")
