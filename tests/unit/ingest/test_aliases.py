"""A cycle of aliases is an error of the whole run that names who is in it."""

from __future__ import annotations

import pytest
from conftest import Company

from retention_pipeline.ingest import IngestError, check_aliases, open_raw


def check(company: Company, *pairs: str) -> None:
    company.load("customer_aliases", "\n".join(["alias_id,customer_id", *pairs]).encode())
    connection = open_raw(company.home.raw_file, read_only=True)
    try:
        check_aliases(connection)
    finally:
        connection.close()


def test_chains_of_aliases_are_fine(company: Company) -> None:
    check(company, "a,b", "b,c", "d,c", "e,d")


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        (["a,a"], "a → a"),
        (["a,b", "b,a"], "a → b → a"),
        (["start,a", "a,b", "b,c", "c,a", "x,y"], "a → b → c → a"),
    ],
)
def test_a_cycle_is_named(company: Company, pairs: list[str], named: str) -> None:
    with pytest.raises(IngestError, match=f"a cycle of aliases: {named}$"):
        check(company, *pairs)
