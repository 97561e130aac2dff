"""What `data_quality` says of loads lasts as long as it is so, not only in the night that brought it."""

from __future__ import annotations

from datetime import datetime

from support.delivering import NOW, ORDER_HEADER, Company, order, orders_csv

from retention_pipeline.publish.quality import _about_loads, _about_quarantine
from retention_pipeline.warehouse import opened_raw


def told(company: Company) -> set[tuple[str, str]]:
    with opened_raw(company.home) as connection:
        rows = _about_loads(connection, has_visits=True)
    return {(measure, detail) for _, measure, detail, *_ in rows if measure != "last_load"}


def test_a_column_that_is_new_or_gone_is_told_until_the_loads_are_other(company: Company) -> None:
    company.deliver("orders", "1.csv", orders_csv(order("a", "10.00", "x", "5"), header=f"{ORDER_HEADER},note,channel"))
    company.deliver("orders", "2.csv", orders_csv(order("b", "10.00", "x", "5"), header=f"{ORDER_HEADER},note,channel"))
    company.run()
    assert told(company) == {("drift_added", "note")}
    for day in (2, 3):
        company.deliver("orders", f"later {day}.csv", orders_csv(order(str(day))))
        company.run(now=datetime(2024, 5, day, 3))
        assert told(company) == {("drift_missing", "channel")}


def test_a_refused_file_is_told_until_it_is_gone(company: Company) -> None:
    company.deliver("orders", "fine.csv", orders_csv(order("a")))
    bad = company.deliver("orders", "bad.csv", b"")
    company.run(now=NOW)
    assert told(company) == {("refused_file", "landing/orders/bad.csv")}
    bad.unlink()
    company.run(now=datetime(2024, 5, 2, 3))
    assert told(company) == set()


def test_the_example_of_refused_rows_is_of_the_last_load_and_does_not_hang_on_their_order(company: Company) -> None:
    for name in ("1.csv", "2.csv", "3.csv"):
        company.deliver("orders", name, orders_csv(order("a" + name, "much")))
    company.run()
    with opened_raw(company.home) as connection:
        connection.execute("create schema memory.raw")
        connection.execute("use memory")
        for direction in ("asc", "desc"):
            connection.execute(
                f"create or replace table raw.quarantine as from raw_store.raw.quarantine order by load_id {direction}"
            )
            [(*_, example)] = _about_quarantine(connection)
            assert (example or "").startswith("for example landing/orders/3.csv line 2: amount: 'much' is not a number")
