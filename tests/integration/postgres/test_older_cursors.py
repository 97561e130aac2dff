"""Rows that are written later than the last pull with an older cursor: a replica that lagged, a dump restored."""

from __future__ import annotations

from support.shop_database import Shop


def test_rows_older_than_the_last_pull_are_read_where_nothing_newer_was(shop: Shop) -> None:
    shop.source["cursor"] = "updated_at"
    shop.write("set timezone = 'UTC'")
    for number, days in ((1, 96), (2, 72)):
        shop.add(number)
        shop.write(f"update orders set updated_at = now() - interval '{days} hours' where customer_id = {number}")
    assert shop.pull().new == 2
    shop.add(3)
    shop.write("update orders set updated_at = now() - interval '60 hours' where customer_id = 3")
    shop.write("update orders set amount = 99, updated_at = now() - interval '50 hours' where customer_id = 2")
    load = shop.pull()
    assert (load.new, load.changed) == (1, 1)
    shop.assert_raw_equals_the_table()


def test_compare_keys_fetches_what_is_missing_here(shop: Shop) -> None:
    shop.source |= {"cursor": "updated_at", "deletes": "compare_keys", "overlap_hours": 0}
    for number in (1, 2, 3):
        shop.add(number)
    assert shop.pull().new == 3
    shop.add(4)
    shop.add(5, amount="5")
    shop.write("update orders set updated_at = now() - interval '40 days' where customer_id = 4")
    shop.write("delete from orders where customer_id = 1")
    load = shop.pull()
    assert load.new == 2
    shop.assert_raw_equals_the_table()
    archived = list((shop.home.archive / "orders").iterdir())
    assert len(archived) == 2  # what was copied twice is kept once


def test_a_refused_row_that_is_missing_for_good_disturbs_nothing(shop: Shop) -> None:
    shop.source |= {"cursor": "updated_at", "deletes": "compare_keys", "overlap_hours": 0}
    shop.add(1)
    shop.add(2, amount="1.234")
    shop.write("update orders set updated_at = now() - interval '40 days' where customer_id = 2")
    assert (shop.pull().good, shop.pull().bad) == (1, 1)
    shop.write("update orders set amount = 2 where customer_id = 2")
    assert shop.pull().new == 1
    shop.assert_raw_equals_the_table()
