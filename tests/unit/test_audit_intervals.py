"""Intervals that form a chain are passed without being put in order, and no other owner's are."""

import random
from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import pytest

from retention_pipeline.audit.facts import follows_on

LAST = date(9999, 12, 31)
Interval = tuple[date, date]


def chain(rng: random.Random, intervals: int) -> list[Interval]:
    days = sorted(rng.sample(range(2_000), intervals))
    starts = [date(1, 1, 1), *(date(2020, 1, 1) + timedelta(days=day) for day in days)]
    return list(zip(starts, [*starts[1:], LAST], strict=True))


def broken(rng: random.Random, intervals: list[Interval]) -> list[Interval]:
    """A chain with one of the faults, some of which (a gap) break no rule."""
    place = rng.randrange(len(intervals))
    start, end = intervals[place]
    fault = rng.randrange(7)
    if fault == 0:  # twice
        return [*intervals, (start, end)]
    if fault == 1:  # the whole chain twice
        return intervals * 2
    if fault == 2:  # beside the chain
        return [*intervals, (date(2021, 1, 1), date(2021, 6, 1))]
    if fault == 3:  # empty
        return [*intervals, (start, start)]
    if fault == 4:  # the wrong way round
        return [*intervals[:place], (end, start), *intervals[place + 1 :]]
    if fault == 5:  # a gap
        return intervals[:place] + intervals[place + 1 :]
    return [*intervals[:place], (start, LAST), *intervals[place + 1 :]]  # open


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """600 owners in two dimensions, a third of them with a fault."""
    rng = random.Random(7)
    rows = []
    for customer in range(300):
        for dimension in ("country", "plan"):
            intervals = chain(rng, rng.randrange(4))
            if rng.random() < 1 / 3:
                intervals = broken(rng, intervals)
            rows += [(dimension, customer, *interval) for interval in intervals]
    rng.shuffle(rows)
    with duckdb.connect() as made:
        made.execute(
            "create table int_customers as select range as customer_key, 'C' || range as customer_id from range(300)"
        )
        made.execute("create table spans (dimension varchar, customer_key bigint, start_date date, end_date date)")
        made.executemany("insert into spans values ($1, $2, $3, $4)", rows)
        yield made


def test_faults_are_those_that_all_in_order_show(connection: duckdb.DuckDBPyConnection) -> None:
    owner = ("dimension", "customer_key")
    in_order, in_chains = (
        connection.execute(
            f"{follows_on('rule', 'words', 'spans', owner, in_chains=chained).sql} order by all"
        ).fetchall()
        for chained in (False, True)
    )
    assert in_chains == in_order
    assert len(in_order) > 100
