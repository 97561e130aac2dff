"""`inputs`: files that a query joins. All of them are one delivery, and a change in any makes the whole result anew."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.delivering import Company

from retention_pipeline.ingest import landing
from retention_pipeline.ingest.rebuild import rebuild_raw
from retention_pipeline.settings import SettingsError, parse_settings

QUERY = """
    select o.id as order_id, c.mail as customer_id, o.day as ordered_at, coalesce(number(o.total), 0) as amount,
        'EUR' as currency, 'paid' as status, o._line
    from rows as o left join people as c on o.person = c.id
"""


@pytest.fixture
def company(tmp_path: Path) -> Company:
    company = Company(tmp_path)
    company.source("orders", path="landing/orders/*.csv", inputs={"people": "landing/people/*"}, query=QUERY)
    company.deliver("orders", "1.csv", b"id,person,day,total\na,1,2024-03-01,10\nb,2,2024-03-02,20\n")
    company.deliver("people", "1.csv", b"id,mail\n1,anna\n2,ben\n")
    return company


def run(company: Company, day: int = 1) -> list[tuple[str, str]]:
    company.sources.pop("people", None)
    company.loads = company.run(now=datetime(2024, 5, day, 3)).loads  # type: ignore[attr-defined]
    company.assert_balanced()
    return company.query("select order_id, customer_id from raw.orders order by 1")


def status(company: Company) -> list[str]:
    return [load.status for load in company.loads]  # type: ignore[attr-defined]


def test_a_change_in_any_file_makes_one_whole_new_result(company: Company) -> None:
    assert run(company) == [("a", "anna"), ("b", "ben")]
    assert run(company) == [("a", "anna"), ("b", "ben")] and status(company) == ["already_loaded"]
    first = company.deliver("people", "1.csv", b"id,mail\n1,anna\n2,bert\n").read_bytes()
    assert run(company, 2) == [("a", "anna"), ("b", "bert")] and status(company) == ["loaded"]
    company.deliver("orders", "2.csv", b"day,id,person,total,note\n2024-03-03,c,1,,x\n")
    assert run(company, 3) == [("a", "anna"), ("b", "bert"), ("c", "anna")]
    (company.home.root / "landing/orders/1.csv").unlink()
    assert run(company, 4) == [("c", "anna")]
    company.deliver("people", "1.csv", first.replace(b"anna", b"anne"))
    assert run(company, 5) == [("c", "anne")]
    company.deliver("people", "1.csv", first)  # what all were before
    assert run(company, 6) == [("c", "anna")] and status(company) == ["loaded"]
    assert run(company, 7) == [("c", "anna")] and status(company) == ["already_loaded"]

    result = rebuild_raw(company.home, settings(company))
    assert company.query("select order_id, customer_id from raw.orders order by 1") == [("c", "anna")]
    assert result.unknown == []
    company.sources["orders"]["query"] = QUERY.replace("c.mail", "upper(c.mail)")
    assert run(company, 8) == [("c", "ANNA")]


def test_while_a_file_is_written_the_result_stays_as_it_is(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "OPEN_LINE_SECONDS", 60.0)
    assert run(company) == [("a", "anna"), ("b", "ben")]
    company.deliver("orders", "1.csv", b"id,person,day,total\na,1,2024-03-01,10\nb,1,20")
    company.sources.pop("people", None)
    result = company.run(now=datetime(2024, 5, 2, 3))
    assert company.query("select order_id, customer_id from raw.orders order by 1") == [("a", "anna"), ("b", "ben")]
    assert (result.loads, result.waiting) == ([], [("landing/orders/1.csv", "it is still being written")])


def test_of_whole_files_the_newest_are_joined(company: Company) -> None:
    company.sources["orders"]["delivery"] = "whole"
    company.deliver("orders", "2.csv", b"id,person,day,total\nb,2,2024-03-02,20\n")
    company.deliver("people", "2.csv", b"id,mail\n2,bert\n")
    assert run(company) == [("b", "bert")]


def test_a_missing_input_and_a_wrong_query_leave_what_there_is(company: Company) -> None:
    run(company)
    people = company.home.root / "landing/people/1.csv"
    content = people.read_bytes()
    people.unlink()
    assert len(run(company, 2)) == 2 and status(company) == ["failed"]
    assert company.loads[0].error == "no file at landing/people/*"  # type: ignore[attr-defined]
    people.write_bytes(content.replace(b"mail", b"email"))
    assert len(run(company, 3)) == 2 and status(company) == ["refused"]
    assert run(company, 4) and status(company) == ["refused"]


def test_a_part_that_is_no_longer_archived_is_named(company: Company) -> None:
    run(company)
    for path in (company.home.archive / "orders").glob("*.csv"):
        path.unlink()
    company.sources["orders"]["query"] = QUERY.replace("c.mail", "upper(c.mail)")
    result = company.run(now=datetime(2024, 5, 2, 3))
    assert "is no longer in the archive" in str(result.loads[0].error)


def settings(company: Company) -> Any:
    return parse_settings({"business": company.business, "sources": company.sources})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"query": None}, "inputs: only a query can join them"),
        ({"inputs": {"rows": "x"}}, "inputs.rows: a name of letters, digits and underscores is expected"),
        ({"replace_by": "order_id"}, "replace_by: with delivery: whole, or inputs,"),
    ],
)
def test_what_cannot_be_is_said(company: Company, changed: dict[str, Any], said: str) -> None:
    company.sources["orders"].update(changed)
    with pytest.raises(SettingsError) as caught:
        settings(company)
    assert said in str(caught.value)
