"""Pulls from a real MariaDB server: what PostgreSQL promises, it promises too."""

from __future__ import annotations

import random
import socket
import threading
import time
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from support.mysql_shop import MysqlShop

from retention_pipeline.cli.check import check_sources
from retention_pipeline.ingest import mysql, pull_loader, pulls
from retention_pipeline.ingest.pulls import SourceError
from retention_pipeline.settings import MysqlSource


def test_every_type_arrives_as_it_is(shop: MysqlShop) -> None:
    text = 'a "quoted", value\r\nover\r two\n lines'
    shop.add(1, "12345678.90", channel=text, details='{"gift": true}')
    shop.add(2, "0.1000", refunded_amount="0.0500", refunded_at="2024-03-05", is_test=b"\x01", customer_id=None)
    shop.add(3, channel="", is_test=b"\x00", ordered_at="2024-03-01 12:00:00.123456")
    shop.add(2**64 - 1, channel="naïve 🐘 \\ '")
    shop.add(6, "10.5550")
    shop.write("update orders set updated_at = from_unixtime(1709290800)")  # 2024-03-01 11:00:00 UTC
    load = shop.pull()
    assert (load.good, load.bad) == (4, 1)
    assert shop.query("from raw.orders select order_id, customer_id, ordered_at, amount, refunded_amount, refunded_at,"
                      " is_test, channel order by order_id") == [
        ("1", "1", datetime(2024, 3, 1, 11), Decimal("12345678.9"), None, None, None, text),
        ("18446744073709551615", "1", datetime(2024, 3, 1, 11), 10.5, None, None, None, "naïve 🐘 \\ '"),
        ("2", None, datetime(2024, 3, 1, 11), Decimal("0.1"), Decimal("0.05"), datetime(2024, 3, 5), True, None),
        ("3", "3", datetime(2024, 3, 1, 11, 0, 0, 123456), 10.5, None, None, False, None),
    ]  # fmt: skip
    assert shop.query("select distinct updated_at from raw.orders") == [(datetime(2024, 3, 1, 11),)]
    assert shop.query("select _extra from raw.orders where order_id = '1'") == [
        ('{"details":"{\\"gift\\": true}"}',)
    ]  # fmt: skip


def test_zero_dates_are_no_dates_for_a_cursor_either(shop: MysqlShop) -> None:
    shop.source.update(cursor="changed_at")
    shop.write("set sql_mode = ''")
    shop.write("alter table orders add changed_at datetime not null")
    shop.add(1)
    shop.pull()
    assert shop.query("select greatest from raw.watermarks") == [(None,)]
    shop.add(2, changed_at="2024-01-01 10:00:00")
    assert shop.pull().new == 1
    assert shop.query("select greatest from raw.watermarks") == [(datetime(2024, 1, 1, 9),)]


def test_zero_dates_are_no_dates(shop: MysqlShop) -> None:
    shop.source.update(query="select o.*, cast('0000-00-00 00:00:00' as datetime) as refunded from orders as o",
                       table=None, columns={"refunded_at": "refunded"})  # fmt: skip
    shop.write("set sql_mode = ''")
    shop.add(1)
    shop.add(2, ordered_at="0000-00-00 00:00:00")
    load = shop.pull()
    assert (load.good, load.bad) == (1, 1)
    assert shop.query("select reason from raw.quarantine") == [("ordered_at is missing",)]
    assert shop.query("select refunded_at from raw.orders") == [(None,)]


@pytest.mark.parametrize("kind", ["timestamp", "datetime"])
def test_with_a_cursor_only_what_changed_is_read(shop: MysqlShop, kind: str) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0, timezone="UTC")
    shop.write(f"alter table orders modify updated_at {kind} not null default current_timestamp")
    shop.write("set time_zone = '+00:00'")
    for number in range(20):
        shop.add(number, updated_at="2024-01-01 00:00:00")
    assert shop.pull().new == 20
    shop.write("update orders set amount = 99, updated_at = now() where order_id in (3, 13)")
    shop.add(21)
    load = shop.pull()
    assert (load.new, load.changed, load.unchanged) == (1, 2, 18)  # since the greatest cursor that was read
    load = shop.pull()
    assert (load.new, load.changed, load.unchanged) == (0, 0, 3)
    shop.assert_raw_equals_the_table()


def test_a_cursor_in_local_time_loses_no_row_when_the_clock_goes_back(shop: MysqlShop) -> None:
    shop.source.update(cursor="changed_at", overlap_hours=0)
    shop.write("alter table orders add changed_at datetime")
    shop.write("alter table orders drop updated_at")
    shop.add(1, changed_at="2023-10-29 02:30:00")  # the first of the two hours
    shop.pull()
    shop.add(2, changed_at="2023-10-29 02:10:00")  # later, in the second one
    assert shop.pull().new == 1


@pytest.mark.parametrize("zone", ["SYSTEM", "-05:00"])
def test_a_row_that_commits_after_the_pull_with_an_older_cursor_is_not_lost(
    server: Any, shop: MysqlShop, zone: str, request: pytest.FixtureRequest
) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)
    shop.write(f"set global time_zone = '{zone}'")
    request.addfinalizer(lambda: shop.write("set global time_zone = 'SYSTEM'"))
    shop.add(1)
    slow = server.connect(database="shop", autocommit=False)
    with slow.cursor() as cursor:
        cursor.execute(
            "insert into orders (order_id, ordered_at, amount, currency, status) values (9, now(), 5, 'EUR', 'paid')"
        )
        time.sleep(1.1)
        shop.add(2)
        assert shop.pull().new == 2
        time.sleep(1.1)
        shop.add(3)
        shop.pull()
    slow.commit()
    slow.close()
    assert shop.pull().new == 1
    shop.assert_raw_equals_the_table()


def test_a_statement_that_is_still_at_work_is_not_lost_either(server: Any, shop: MysqlShop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)

    def write_slowly() -> None:
        with server.connect(database="shop") as connection, connection.cursor() as cursor:
            cursor.execute("insert into orders (order_id, ordered_at, amount, currency, status, updated_at)"
                           " select 9, now(), 5, 'EUR', 'paid', now() from (select sleep(2.5)) as waited")  # fmt: skip

    writer = threading.Thread(target=write_slowly)
    writer.start()
    time.sleep(1.2)
    shop.add(2)
    shop.pull()
    writer.join()
    assert shop.pull().new == 1
    shop.assert_raw_equals_the_table()


def test_compare_keys_removes_what_is_gone_and_fetches_what_is_missing(shop: MysqlShop) -> None:
    shop.source.update(cursor="updated_at", deletes="compare_keys")
    for number in range(10):
        shop.add(number)
    shop.pull()
    shop.write("delete from orders where order_id < 2")
    shop.add(77, updated_at="2015-01-01 00:00:00")
    load = shop.pull()
    assert load.new == 1
    shop.assert_raw_equals_the_table()
    shop.write("delete from orders")
    load = shop.pull()
    assert load.status == "failed" and "no rows at all" in (load.error or "")
    assert shop.query("select count(*) from raw.orders") == [(9,)]


def test_phases_that_are_missing_are_found_by_a_key_of_two_columns(shop: MysqlShop) -> None:
    shop.write(
        "create table phases (subscription_id varchar(20), customer_id int, plan varchar(9), amount decimal(9, 2),"
        " currency char(3), `interval` varchar(9), status varchar(9), started_at timestamp(3) not null,"
        " changed datetime)"
    )
    add = "insert into phases values (%s, 1, 'basic', 5, 'EUR', 'month', 'active', %s, %s)"
    shop.write(add, "s1", "2024-01-01 10:00:00", "2024-01-01 10:00:00")
    shop.source.update(dataset="subscriptions", table="phases", cursor="changed", deletes="compare_keys")
    shop.pull()
    shop.write(add, "s1", "2020-01-01 10:00:00", "2020-01-01 10:00:00")
    assert shop.pull().new == 1


def test_deleted_rows_are_marked_by_a_column(shop: MysqlShop) -> None:
    shop.source.update(deletes={"column": "deleted_at"})
    shop.add(1)
    shop.add(2)
    shop.pull()
    shop.write("update orders set deleted_at = now(), updated_at = now() where order_id = 2")
    shop.pull()
    assert shop.query("select order_id from raw.orders") == [("1",)]


def test_a_query_may_have_a_with_and_a_comment_at_its_end(shop: MysqlShop) -> None:
    shop.add(1)
    shop.source.update(
        table=None, query="with dear as (select * from orders where amount > 1) select * from dear -- it"
    )
    assert shop.pull().new == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"table": "ordres"}, "Table 'shop.ordres' doesn't exist"),
        ({"cursor": "changed_at"}, "Unknown column 'changed_at'"),
        ({"cursor": "amount"}, "the cursor amount is not a time column"),
        ({"columns": {"amount": "total"}}, "required columns are missing: amount (from total)"),
        ({"dsn": {"env": "NOWHERE"}}, "environment variable NOWHERE is not set"),
        ({"dsn": {"env": "UNREACHABLE"}}, "Can't connect to MySQL server on '127.0.0.1'"),
        ({"dsn": {"env": "NONSENSE"}}, "the variable NONSENSE does not hold a valid connection string"),
        ({"dsn": {"env": "NO_CA"}}, "ssl_ca /none/ca.pem cannot be read: No such file or directory"),
        ({"dsn": {"env": "WRONG"}}, "Access denied for user 'clerk'@'localhost'"),
    ],
)
def test_what_is_wrong_with_a_source_is_one_line_without_secrets(
    shop: MysqlShop, server: Any, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], error: str
) -> None:
    monkeypatch.setenv("UNREACHABLE", "mysql://shop:hunter2@127.0.0.1:1/shop")
    monkeypatch.setenv("NONSENSE", "hunter2 at the server")
    monkeypatch.setenv("NO_CA", "mysql://shop:hunter2@127.0.0.1/shop?ssl_ca=/none/ca.pem")
    shop.write("create or replace user clerk@localhost identified by 'right'")
    monkeypatch.setenv("WRONG", f"mysql://clerk:hunter2@localhost/shop?unix_socket={server.socket}")
    shop.add(1)
    shop.source.update(change)
    load = shop.pull()
    assert load.status == "failed" and error in (load.error or "")
    assert "hunter2" not in (load.error or "") and "\n" not in (load.error or "")
    [(_, is_good, text)] = check_sources(shop.home, shop.settings)
    assert not is_good and error in text and "hunter2" not in text


def test_a_user_who_may_only_read_can_pull_with_a_cursor(
    shop: MysqlShop, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write("create or replace user reader@localhost identified by 'p@ss/wo rd'")
    shop.write("grant select on shop.* to reader@localhost")
    monkeypatch.setenv("SHOP", f"mysql://reader:p%40ss%2Fwo%20rd@localhost/shop?unix_socket={server.socket}")
    shop.source.update(cursor="updated_at")
    shop.add(1)
    assert shop.pull().new == 1


def test_check_shows_the_first_rows_and_what_would_be_refused(shop: MysqlShop) -> None:
    shop.add(1)
    shop.add(2, "10.5550")
    [(_, is_good, text)] = check_sources(shop.home, shop.settings)
    assert is_good  # half may be refused
    assert "MySQL answers, credentials from SHOP" in text
    assert "of its first 2 rows 1 would be refused" in text
    assert "order_id 1, customer_id 1, ordered_at 2024-03-01 11:00:00, amount 10.50, currency EUR, status paid" in text
    assert not shop.home.raw_file.exists()


def test_a_server_that_falls_silent_ends_the_pull(shop: MysqlShop, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(mysql, "CONNECT_SECONDS", 1)
        monkeypatch.setattr(pull_loader, "ATTEMPTS", 1)
        monkeypatch.setenv("SHOP", f"mysql://shop:hunter2@127.0.0.1:{silent.getsockname()[1]}/shop")
        load = shop.pull()
    assert load.status == "failed" and "timed out" in (load.error or "")


@pytest.mark.parametrize("who", ["we", "the server"])
def test_a_query_that_takes_too_long_has_failed(shop: MysqlShop, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is the first to stop it."""
    if who == "the server":
        monkeypatch.setattr(pulls.SocketDeadline, "_pass", lambda deadline: None)
    shop.add(1)
    shop.source.update(table=None, query="select o.*, sleep(30) as s from orders as o", max_read_time="1m")
    settings = shop.settings
    source = settings.sources["orders"]
    began = time.monotonic()
    assert isinstance(source, MysqlSource)
    short = source.model_copy(update={"max_read_time": source.max_read_time / 60})
    with pytest.raises(SourceError, match="max_read_time"), mysql.open_mysql(short) as pull:
        from retention_pipeline.ingest.archive import Keeper

        pull.copy_rows(None, Keeper(shop.home.root / "a", shop.home.root / "b", ".csv", "csv"))
    assert time.monotonic() - began < 10


def test_raw_equals_the_table_after_pulls_while_others_write(server: Any, shop: MysqlShop) -> None:
    shop.source.update(cursor="updated_at", overlap_hours=0)
    stop = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with server.connect(database="shop", autocommit=False) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                for _ in range(chance.randint(1, 5)):
                    number, amount = chance.randint(1, 300), chance.randint(1, 1000)
                    cursor.execute(
                        "insert into orders (order_id, ordered_at, amount, currency, status, updated_at)"
                        " values (%s, now(), %s, 'EUR', 'paid', now())"
                        " on duplicate key update amount = values(amount), updated_at = now()",
                        [number * 2 + seed % 2, amount],
                    )
                    time.sleep(chance.random() / 50)
                connection.commit()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    for _ in range(5):
        shop.pull()
        time.sleep(0.3)
    stop.set()
    for writer in writers:
        writer.join()
    shop.pull()
    assert shop.query("select count(*) > 0 from raw.orders_history") == [(True,)]
    shop.assert_raw_equals_the_table()


def test_a_server_that_asks_for_encryption_is_read_where_its_certificate_is_known(
    shop: MysqlShop, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server.certificate is None:
        pytest.skip("no openssl here")
    shop.write("create or replace user safe@'127.0.0.1' identified by 'hunter2' require ssl")
    shop.write("grant select on shop.* to safe@'127.0.0.1'")
    shop.add(1)
    address = f"mysql://safe:hunter2@127.0.0.1:{server.port}/shop"
    monkeypatch.setenv("SHOP", f"{address}?ssl=true")  # nobody that the machine trusts has signed it
    load = shop.pull()
    assert load.status == "failed" and "certificate verify failed" in (load.error or "")
    assert "hunter2" not in (load.error or "")
    monkeypatch.setenv("SHOP", f"{address}?ssl_ca={server.certificate}")
    assert shop.pull().new == 1
