"""Periods as people write them, against those that are published."""

from __future__ import annotations

import duckdb
import pytest

from retention_pipeline.read.named_periods import named_period
from retention_pipeline.read.published import UnknownName


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ([], "There are no figures of grain month yet"),
        (
            ["2024-01-01", "2024-02-01"],
            "There is no month 2024-06; those published begin from 2024-01-01 to 2024-02-01",
        ),
    ],
)
def test_a_period_that_is_not_published_is_told_with_those_that_are(there: list[str], said: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("create table periods (grain varchar, period_start date, period_end date)")
        for start in there:
            connection.execute(
                "insert into periods select 'month', $1::date, ($1::date + interval 1 month)::date", [start]
            )
        with pytest.raises(UnknownName) as caught:
            named_period(connection, "2024-06")
    assert str(caught.value) == said
