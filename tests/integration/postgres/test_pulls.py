"""Pulls from a real PostgreSQL server while others write to it."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import psycopg
import pytest
from support.shop_database import Shop

from retention_pipeline.ingest import copy_stream, postgres, pull_loader
from retention_pipeline.ingest.archive import Keeper


def test_every_type_arrives_as_it_is(shop: Shop) -> None:
    shop.add(1, "12345678.90", channel='a "quoted", value\nover two lines', details='{"gift": true}')
    shop.add(2, "0.1000", refunded_amount="0.0500", refunded_at="2024-03-05", is_test=True, customer_id=None)
    shop.add(3, "10.00", channel="")
    shop.add(4, "NaN")
    shop.add(5, ordered_at="infinity")
    shop.add(6, "10.555")
    load = shop.pull()
    assert (load.good, load.bad) == (3, 3)
    assert shop.query("select _extra from raw.orders where order_id like '%1'") == [
        ('{"details":"{\\"gift\\": true}"}',)
    ]
    shop.write("delete from orders where amount = 'NaN' or ordered_at = 'infinity' or amount = 10.555")
    shop.write("update orders set channel = null where channel = ''")
    shop.assert_raw_equals_the_table()
    assert {reason.split(";")[0].split(" is ")[0] for (reason,) in shop.query("select reason from raw.quarantine")} == {
        "amount: 'NaN'", "ordered_at: 'infinity'", "amount: '10.555'",
    }  # fmt: skip


@pytest.mark.parametrize("cursor", [{}, {"cursor": "updated_at", "overlap_hours": 0}])
def test_refused_rows_miss_once_until_they_come_in_good_or_are_gone(shop: Shop, cursor: dict[str, Any]) -> None:
    shop.source.update(cursor)
    missing = "select reason from raw.quarantine where resolved_by is null"
    for number in range(10, 16):
        shop.add(number)
    shop.add(2, "NaN")
    shop.add(3, "10.555")
    assert shop.pull().bad == 2
    shop.add(4)
    shop.write("update orders set updated_at = now() where amount = 10.555")
    shop.pull()
    assert len(shop.query(missing)) == 2  # though one was seen again, or both
    shop.write("update orders set amount = 5, updated_at = now() where amount = 'NaN'")
    shop.pull()
    assert len(shop.query(missing)) == 1
    shop.write("delete from orders where amount = 10.555")
    shop.pull()
    assert len(shop.query(missing)) == (1 if cursor else 0)  # with a cursor nobody hears of a deletion


def test_with_a_cursor_only_what_changed_is_read_and_a_second_pull_changes_nothing(shop: Shop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)
    for number in range(20):
        shop.add(number)
    assert shop.pull().new == 20
    shop.write("update orders set amount = 99, updated_at = now() where order_id::text like '%%3'")
    shop.add(21)
    load = shop.pull()
    assert (load.new, load.changed, load.unchanged) == (1, 2, 1)  # the newest row of the last pull is read again
    before = shop.query("from raw.orders order by all"), shop.query("from raw.orders_history order by all")
    again = shop.pull()
    assert (again.new, again.changed, again.unchanged) == (0, 0, 1)  # the newest row
    assert (shop.query("from raw.orders order by all"), shop.query("from raw.orders_history order by all")) == before
    shop.assert_raw_equals_the_table()


def test_a_row_that_commits_after_the_pull_with_an_older_cursor_is_not_lost(shop: Shop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)
    shop.add(1)
    with psycopg.connect(shop.dsn) as slow:
        slow.execute(
            "insert into orders (order_id, ordered_at, amount, currency, status) "
            "values (gen_random_uuid(), now(), 5, 'EUR', 'paid')"
        )
        time.sleep(0.05)
        shop.add(2)  # a newer cursor that commits first
        assert shop.pull().new == 2
        slow.commit()
    assert shop.pull().new == 1
    shop.assert_raw_equals_the_table()


def test_a_transaction_that_has_written_nothing_yet_when_we_read_is_not_lost_either(shop: Shop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)
    with psycopg.connect(shop.dsn) as slow:
        slow.execute("select now()")  # the time that its rows will carry
        time.sleep(0.05)
        shop.add(2)
        shop.pull()
        slow.execute(
            "insert into orders (order_id, ordered_at, amount, currency, status) "
            "values (gen_random_uuid(), now(), 5, 'EUR', 'paid')"
        )
        slow.commit()
    assert shop.pull().new == 1
    shop.assert_raw_equals_the_table()


def test_raw_equals_the_table_after_pulls_while_others_write(shop: Shop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)
    stop = threading.Event()

    def write(seed: int) -> None:
        """A change is stamped when its row is locked: with now(), one that waited for the other writer's lock would be
        stamped before the change that it follows, and be taken for the older version.
        """
        chance = random.Random(seed)
        with psycopg.connect(shop.dsn) as connection:
            while not stop.is_set():
                for _ in range(chance.randint(1, 5)):
                    connection.execute(
                        """
                        insert into orders values (gen_random_uuid(), %s, now(), %s, 'EUR', 'paid', null, null, null,
                            null, null, now())
                        """,
                        [chance.randint(1, 50), chance.randint(1, 1000)],
                    )
                    connection.execute(
                        "update orders set amount = amount + 1, updated_at = clock_timestamp() where customer_id = %s",
                        [chance.randint(1, 50)],
                    )
                    time.sleep(chance.random() / 200)
                connection.commit()

    writers = [threading.Thread(target=_forgiving(write), args=(seed,)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    for _ in range(6):
        shop.pull()
        time.sleep(0.1)
    stop.set()
    for writer in writers:
        writer.join()
    shop.pull()
    assert shop.query("select count(*) > 0 from raw.orders_history") == [(True,)]
    shop.assert_raw_equals_the_table()


def _forgiving(write: Any) -> Any:
    """Two writers may deadlock; one of them then begins anew."""

    def run(seed: int) -> None:
        for attempt in range(100):
            try:
                write(seed + attempt)
                return
            except psycopg.errors.DeadlockDetected:
                continue

    return run


def test_rows_marked_as_deleted_go_to_the_history_and_stay_away(shop: Shop) -> None:
    shop.source.update(cursor="updated_at", deletes={"column": "deleted_at"})
    shop.add(1)
    shop.add(2)
    shop.pull()
    shop.write("update orders set deleted_at = now(), updated_at = now() where order_id::text like '%%1'")
    assert shop.pull().changed == 1
    shop.add(3)
    shop.pull()
    shop.assert_raw_equals_the_table("deleted_at is null")
    assert shop.query("select distinct right(order_id, 1) from raw.orders_history") == [("1",)]
    assert shop.query("select count(*) from raw.orders where _extra like '%deleted%'") == [(0,)]


def test_rows_that_are_gone_are_found_by_comparing_keys(shop: Shop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0, deletes="compare_keys")
    for number in range(10):
        shop.add(number)
    shop.pull()
    shop.write("delete from orders where order_id::text like '%%3' or order_id::text like '%%4'")
    shop.pull()
    shop.assert_raw_equals_the_table()
    assert shop.query("select count(*), min(_superseded_by) from raw.orders_history") == [(2, 2)]


def test_an_emptied_source_deletes_nothing(shop: Shop) -> None:
    shop.source.update(deletes="compare_keys")
    shop.add(1)
    shop.pull()
    shop.write("truncate orders")
    load = shop.pull()
    assert (load.status, load.error) == ("failed", "the source has no rows at all; nothing was deleted here")
    assert shop.query("select count(*) from raw.orders") == [(1,)]


def test_a_query_can_be_a_source(shop: Shop) -> None:
    shop.source = {
        "type": "postgres", "dsn": {"env": "SHOP"}, "cursor": "updated_at",
        "query": "select order_id as id, customer_id, ordered_at, amount, 'paid' as status, updated_at from orders;",
        "columns": {"order_id": "id", "currency": {"constant": "GBP"}},
    }  # fmt: skip
    shop.add(1)
    assert shop.pull().new == 1
    assert shop.query("select currency, amount::varchar from raw.orders") == [("GBP", "10.50")]


@pytest.mark.parametrize("deletes", ["ignore", "compare_keys"])
def test_under_another_key_no_row_stays_of_those_before(shop: Shop, deletes: str) -> None:
    shop.source.update(cursor="updated_at", deletes=deletes)
    for number in range(3):
        shop.add(number, channel=f"{number}")
    shop.pull()
    shop.source.update(columns={"order_id": "channel", "channel": {"constant": "web"}})
    assert shop.pull().new == 3
    assert shop.query("select order_id from raw.orders order by 1") == [("0",), ("1",), ("2",)]
    assert shop.query("select count(*) from raw.orders_history") == [(3,)]
    shop.source.update(values={"channel": {"online": ["web"]}})  # not the key: what the table has no longer stays
    shop.write("delete from orders where channel = '1'")
    shop.pull()
    kept = [("0",), ("2",)] if deletes == "compare_keys" else [("0",), ("1",), ("2",)]
    assert shop.query("select order_id from raw.orders order by 1") == kept


def test_when_the_settings_change_everything_is_read_again(shop: Shop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)
    for number in range(5):
        shop.add(number, channel=f"{number}")
    shop.pull()
    shop.source.update(values={"channel": {"online": ["1"], "0 store": ["3"]}})
    load = shop.pull()
    assert (load.changed, load.unchanged) == (2, 3)
    assert [channel for (channel,) in shop.query("select channel from raw.orders order by order_id")] == [
        "0", "online", "2", "0 store", "4"
    ]  # fmt: skip
    assert shop.pull().changed == 0


def test_a_connection_that_breaks_in_mid_transfer_is_tried_again_and_loses_or_doubles_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write(
        "insert into orders (order_id, ordered_at, amount, currency, status, channel) "
        "select gen_random_uuid(), now(), number, 'EUR', 'paid', 'web' from generate_series(1, 2000) as number"
    )
    breaks: list[int] = []
    feed = Keeper.feed

    def break_once(keeper: Keeper, block: bytes) -> None:
        feed(keeper, block)
        if len(breaks) < 2:
            breaks.append(keeper.size)
            shop.write(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s",
                postgres.APPLICATION,
            )
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(copy_stream, "BLOCK", 50_000)
    monkeypatch.setattr(Keeper, "feed", break_once)
    assert shop.pull().new == 2000
    assert len(breaks) == 2
    shop.assert_raw_equals_the_table()


def test_keys_are_compared_where_the_source_lacks_an_optional_part_of_the_key(shop: Shop) -> None:
    shop.write("create table people (customer_id int, country text)")
    shop.write("insert into people values (1, 'NL'), (2, 'DE')")
    shop.others["customers"] = {
        "type": "postgres",
        "dsn": {"env": "SHOP"},
        "table": "people",
        "deletes": "compare_keys",
    }
    assert shop.ingest().loads[-1].new == 2
    shop.write("delete from people where customer_id = 2")
    shop.ingest()
    assert shop.query("select customer_id from raw.customers") == [("1",)]


def test_a_query_may_end_in_a_comment(shop: Shop) -> None:
    del shop.source["table"]
    shop.source.update(query="select * from orders -- those of the shop")
    shop.add(1)
    assert shop.pull().new == 1


def test_a_locked_table_is_not_waited_for_for_ever(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.05)
    monkeypatch.setattr(pull_loader, "SECONDS_BETWEEN_ATTEMPTS", 0)
    shop.add(1)
    with psycopg.connect(shop.dsn) as other:
        other.execute("lock table orders in access exclusive mode")
        load = shop.pull()
    assert (load.status, load.error) == ("failed", "canceling statement due to lock timeout")


def test_text_of_a_database_in_another_encoding_arrives_as_it_is(shop: Shop) -> None:
    shop.add(1, channel="Größe")
    shop.write("alter role current_user set client_encoding = 'LATIN1'")  # what a database in Latin 1 would say
    try:
        assert shop.pull().new == 1
    finally:
        shop.write("alter role current_user reset client_encoding")
    assert shop.query("select channel from raw.orders") == [("Größe",)]


@pytest.mark.parametrize("cursor", [None, "updated_at"])
def test_a_row_that_changed_without_a_newer_updated_at_is_as_the_table_says(shop: Shop, cursor: str | None) -> None:
    shop.source.update({"cursor": cursor} if cursor else {})
    for number, status in enumerate(["pending", "paid", "refunded"]):
        shop.add(number, amount="50", status=status)
    shop.pull()
    shop.write("update orders set status = 'paid' where status = 'pending'")
    shop.write("update orders set amount = 40 where status = 'refunded'")
    assert shop.pull().changed == 2
    shop.assert_raw_equals_the_table()
