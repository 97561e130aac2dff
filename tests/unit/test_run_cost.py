"""A night is an exchange only where that costs less than computing everything anew."""

from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from retention_pipeline.run.cost import full_refresh_is_cheaper
from retention_pipeline.run.state import PipelineState
from retention_pipeline.settings import Home, Settings, parse_settings

AS_OF = date(2024, 5, 2)
PREVIOUS = PipelineState(4, 1, date(2024, 4, 30), "settings", "code", "kpis", "run", datetime(2024, 4, 30, 2))


def settings(exchange_from_rows: int) -> Settings:
    return parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR"},
            "sources": {"orders": {"type": "files", "path": "*.csv"}},
            "exchange_from_rows": exchange_from_rows,
        }
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Raw with 1,000 orders, 10 of them in a load that waits."""
    made = Home(tmp_path)
    made.warehouse.mkdir()
    made.published.mkdir()
    with duckdb.connect() as connection:
        connection.execute(f"attach '{made.raw_file}' as raw_store")
        connection.execute("use raw_store; create schema raw; create table raw.orders as from range(1000)")
        connection.execute(
            "create table raw.ledger as select * from (values (1, 'loaded', 990, 0, 0), (2, 'loaded', 4, 5, 1)) "
            "as loads (load_id, status, n_new, n_changed, n_stale)"
        )
    with duckdb.connect(str(made.published / "g4.duckdb")) as connection:
        connection.execute("create table int_segment_values (segment_value varchar, shown_value varchar)")
        connection.execute("insert into int_segment_values values ('(other)', '(other)'), ('NL', 'NL')")
    made.current.symlink_to("g4.duckdb")
    return made


@pytest.mark.parametrize(("exchange_from_rows", "is_cheaper"), [(870, False), (871, True), (5000, True), (0, False)])
def test_what_waits_makes_a_full_refresh_cheaper(home: Home, exchange_from_rows: int, is_cheaper: bool) -> None:
    """1,000 rows against the setting and 13 for each of the 10 rows that wait."""
    reason = full_refresh_is_cheaper(home, settings(exchange_from_rows), PREVIOUS, AS_OF)
    assert (reason is not None) == is_cheaper
    if reason:
        assert reason == "raw has 1,000 rows, 10 of them new or changed: that costs less than to exchange what changed"


def test_values_that_were_chosen_among_more_stay_as_they_are(home: Home) -> None:
    with duckdb.connect(str(home.published / "g4.duckdb")) as connection:
        connection.execute("insert into int_segment_values values ('MT', '(other)')")
    assert full_refresh_is_cheaper(home, settings(5000), PREVIOUS, AS_OF) is None


@pytest.mark.parametrize(
    ("as_of", "exchange_from_rows", "is_cheaper"),
    [
        (date(2024, 5, 1), 871, True),
        (date(2024, 5, 1), 870, False),  # May opens in the night after its first day
        (date(2024, 5, 2), 781, True),
        (date(2024, 5, 2), 780, False),
        (date(2024, 5, 7), 721, True),
        (date(2024, 5, 7), 720, False),
    ],
)
def test_customers_who_move_make_a_full_refresh_cheaper(
    home: Home, as_of: date, exchange_from_rows: int, is_cheaper: bool
) -> None:
    """1,000 rows against the setting, 130 for what waits, and 30 for each of three moves into May, two into a week."""
    with duckdb.connect(str(home.published / "g4.duckdb")) as connection:
        connection.execute("create table int_periods (grain varchar, period_start date, period_end date)")
        connection.execute(
            "insert into int_periods values ('month', '2024-03-01', '2024-04-01'), ('week', '2024-04-22', '2024-04-29')"
            ", ('month', '2024-04-01', '2024-05-01'), ('week', '2024-04-29', '2024-05-06')"
        )
        connection.execute("create table int_segment_spans (customer_key int, start_date date, is_first_value bool)")
        connection.execute(
            "insert into int_segment_spans values (1, '2024-04-01', false), (2, '2024-04-29', false), "
            "(2, '2024-04-30', false), (3, '2024-04-30', false), (3, '2024-03-31', false), (4, '2024-04-30', true)"
        )
    reason = full_refresh_is_cheaper(home, settings(exchange_from_rows), PREVIOUS, as_of)
    assert (reason is not None) == is_cheaper
    if reason:
        assert ("another segment" in reason) == (as_of > date(2024, 5, 1))
