"""Values are read by the types that the server tells, and come out as if they were read as text."""

from __future__ import annotations

from typing import Any

import pytest
from support.shop_database import Shop

from retention_pipeline.ingest import staging
from retention_pipeline.ingest.mapping import fitting_types

WITH_TYPES = """
alter table orders alter amount type numeric(18, 2), alter refunded_at type timestamp,
    add column points bigint, add column gift boolean
"""


def test_typed_and_text_make_the_same_raw_table(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write(WITH_TYPES)
    shop.source["timezone"] = "America/New_York"
    shop.source["columns"] = {"amount": "amount", "is_test": "gift"}
    shop.add(1, "0.10", gift=True, points=7, channel='a "quoted", value\nover two lines')
    shop.add(2, "3", refunded_amount="0.0500", refunded_at="2024-03-10 02:30:00", gift=False)
    shop.add(3, "1234567890123456.78", ordered_at="2024-11-03 01:30:00.123456-04", details='{"gift": 1}', is_test=True)
    read = []

    def noted(*given: Any) -> dict[str, str]:
        read.append(fitting_types(*given))
        return read[-1]

    monkeypatch.setattr(staging, "fitting_types", noted)
    load = shop.pull()
    assert (load.new, load.bad) == (3, 0)
    assert read == [
        {
            "ordered_at": "TIMESTAMP WITH TIME ZONE", "amount": "DECIMAL(18,2)", "refunded_amount": "DECIMAL(12,4)",
            "refunded_at": "TIMESTAMP", "gift": "BOOLEAN", "updated_at": "TIMESTAMP WITH TIME ZONE",
        }
    ]  # fmt: skip
    everything = "select * exclude (_load_id, _loaded_at) from raw.orders order by order_id"
    typed = shop.query(everything)
    monkeypatch.setattr(staging, "fitting_types", lambda *given: {})
    shop.home.raw_file.unlink()
    shop.pull()
    assert shop.query(everything) == typed


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("amount", "NaN", "amount: 'NaN' is not a number"),
        ("ordered_at", "infinity", "ordered_at: 'infinity' is not a timestamp"),
        ("ordered_at", "0044-03-15 12:00:00+00 BC", "ordered_at: '0044-03-15 12:00:00+00 BC' is not a timestamp"),
        ("ordered_at", "12024-03-15 12:00:00+00", "ordered_at: '12024-03-15 12:00:00+00' is outside the years"),
        ("ordered_at", "1024-03-15 12:00:00+00", "ordered_at: '1024-03-15 12:00:00+00' is outside the years"),
        ("refunded_amount", "0.005", "refunded_amount: '0.0050' is not a number"),
    ],
)
def test_what_a_type_cannot_hold_here_is_refused_by_its_text_and_all_else_is_loaded(
    shop: Shop, column: str, value: str, reason: str
) -> None:
    shop.write(WITH_TYPES)
    shop.add(1)
    shop.add(2, **{column: value})
    shop.add(3)
    load = shop.pull()
    assert (load.new, load.bad) == (2, 1)
    ((found,),) = shop.query("select reason from raw.quarantine")
    assert found.startswith(reason)
