"""Files that go back to a former state, and files whose names and ages say two things."""

from __future__ import annotations

import os
from datetime import datetime

import pytest
from support.delivering import Company, order, orders_csv

from retention_pipeline.ingest.landing import names_of
from retention_pipeline.ingest.rebuild import rebuild_raw
from retention_pipeline.ingest.result import IngestError
from retention_pipeline.settings import parse_settings

FIRST, SECOND = orders_csv(order("a", "1.00")), orders_csv(order("a", "2.00"))
TOLD = (
    "landing/orders/1.csv has the same bytes as load 1, superseded since, and is passed over"
    " (to take it again: retention run --reload landing/orders/1.csv)"
)


def deliver(company: Company, content: bytes, name: str = "1.csv", minutes: int = 0) -> None:
    path = company.deliver("orders", name, content)
    os.utime(path, (1_700_000_000 + 60 * minutes,) * 2)


def amount(company: Company) -> str:
    return str(company.query("select amount from raw.orders")[0][0])


def test_a_former_state_is_told_and_comes_back_where_asked_for(company: Company) -> None:
    for content in (FIRST, SECOND):
        deliver(company, content)
        assert company.run().loads[0].hints == []
    deliver(company, FIRST)
    [load] = company.run().loads
    assert (load.status, load.hints, amount(company)) == ("already_loaded", [TOLD], "2.00")
    assert company.run().loads[0].hints == []
    [load] = company.run(reload=["landing/orders/1.csv"], now=datetime(2024, 5, 2, 3)).loads
    assert (load.status, load.changed, amount(company)) == ("loaded", 1, "1.00")
    company.assert_balanced()
    assert company.run().loads[0].status == "already_loaded"

    company.source("orders", round_amounts=True)  # read again: the state that was taken last stays the last
    company.run()
    assert amount(company) == "1.00"


def test_a_former_state_under_a_new_name_is_told_too(company: Company) -> None:
    for name, content in (("1.csv", FIRST), ("2.csv", SECOND)):
        deliver(company, content, name)
        company.run()
    deliver(company, FIRST, "3.csv")
    assert [load.hints for load in company.run().loads] == [[], [], [TOLD.replace("1.csv", "3.csv")]]


def test_a_rebuild_takes_again_what_was_taken_again(company: Company) -> None:
    for day, content in enumerate((FIRST, SECOND, FIRST), start=1):
        deliver(company, content)
        company.run(reload=["landing/orders/1.csv"] if day == 3 else [], now=datetime(2024, 5, day, 3))
    settings = parse_settings({"business": company.business, "sources": company.sources})
    rebuild_raw(company.home, settings)
    assert amount(company) == "1.00"


def test_a_file_is_named_from_where_one_is(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(company, FIRST)
    settings = parse_settings({"business": company.business, "sources": company.sources})
    path = company.home.root / "landing/orders/1.csv"
    monkeypatch.chdir(path.parent)
    given = ["1.csv", "landing/orders/1.csv", str(path)]
    assert names_of(company.home, settings, given) == ["landing/orders/1.csv"] * 3
    with pytest.raises(IngestError, match=r"no source has the file other\.csv"):
        names_of(company.home, settings, ["1.csv", "other.csv"])


@pytest.mark.parametrize(
    ("minutes", "second", "told"), [((90, 0), "2.00", True), ((0, 90), "2.00", False), ((90, 0), "1.00", False)]
)
def test_names_that_contradict_the_ages_of_files_are_told(
    company: Company, minutes: tuple[int, int], second: str, told: bool
) -> None:
    deliver(company, FIRST, "export_9.csv", minutes[0])
    deliver(company, orders_csv(order("a", second)), "export_10.csv", minutes[1])
    loads = company.run().loads
    hints = [hint for load in loads for hint in load.hints]
    assert amount(company) == second
    assert len(hints) == told
    if told:
        assert hints[0].startswith("landing/orders/export_9.csv was changed (2023-11-14 23:43) after landing/orders/ex")


def test_ages_say_nothing_where_rows_have_versions(company: Company) -> None:
    header = "order_id,customer_id,ordered_at,amount,currency,status,updated_at"
    for name, at, minutes in (("1.csv", "2024-03-02", 90), ("2.csv", "2024-03-01", 0)):
        deliver(company, orders_csv(order("a", "1.00", f"{at}T00:00:00Z"), header=header), name, minutes)
    assert [load.hints for load in company.run().loads] == [[], []]
