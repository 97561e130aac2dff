"""The hint for data that end long before the day of the run: then the last month is empty, and that is not an error."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb

from retention_pipeline.read.headline import Headline


def hint_for_old_data(connection: duckdb.DuckDBPyConnection, headline: Headline | None, timezone: str) -> str | None:
    """A sentence with the day to try, where the newest order or subscription of an open warehouse is from before the
    headline's period and nobody subscribes in it; else None.
    """
    if headline is None:
        return None
    newest = {
        dataset: moment
        for dataset, moment in connection.execute(
            "select dataset, moment from data_quality where measure = 'latest_fact' and moment is not null "
            "and dataset in ('orders', 'subscriptions')"
        ).fetchall()
    }
    if not newest or _subscribers(connection, headline):
        return None
    last = max(_day(moment, timezone) for moment in newest.values())
    if last >= headline.period_start:
        return None
    return (
        f"The newest row of {' and '.join(newest)} is of {last}, so there is nothing in {headline.period}. "
        f"To see the last month that has data: --as-of {last + timedelta(days=1)}"
    )


def _subscribers(connection: duckdb.DuckDBPyConnection, headline: Headline) -> bool:
    """Whether somebody subscribes at the end of the period: then it is not empty, however old the newest row is."""
    row = connection.execute(
        "select max(value) from retention_kpis where kpi = 'customers_end' and basis = 'subscription' "
        "and segment_dimension = 'all' and grain = ? and period_start = ?",
        [headline.grain, headline.period_start],
    ).fetchone()
    return bool(row and row[0])


def _day(moment: datetime, timezone: str) -> date:
    """The business day of an instant in naive UTC, or the day as it stands (it may be a bare day) if later."""
    return max(moment.date(), moment.replace(tzinfo=UTC).astimezone(ZoneInfo(timezone)).date())
