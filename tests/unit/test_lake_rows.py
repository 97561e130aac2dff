"""What Spark is asked of a source in the lake, without a Spark: it parses there, and nothing in it is unknown."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.mapping import map_columns
from retention_pipeline.settings import parse_settings
from retention_pipeline.transform.spark import lake_rows
from retention_pipeline.transform.spark.dialect import NotOnSpark, in_spark

FUNCTIONS = frozenset((Path(__file__).parent / "spark_functions.txt").read_text().split())
KINDS = ("string", "timestamp", "timestamp_ntz", "date", "decimal(30,5)", "double", "bigint", "boolean")
WORDS = {"and", "as", "case", "decimal", "else", "from", "in", "is", "not", "or", "over", "then", "try_cast", "when"}


def checked(dataset: str, kind: str, **settings: Any) -> str:
    """The query of a table that has the contract's columns, all of one type, and another."""
    contract = CONTRACTS[dataset]
    source = {"type": "lake", "table": "bronze.rows", **settings}
    parsed = parse_settings(
        {
            "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"},
            "sources": {dataset: source},
            "engine": "spark",
            "spark": {"remote": {"env": "SPARK_REMOTE"}},
        }
    ).read_source(dataset)
    columns = [lake_rows.column(name, kind) for name in contract.names] + [lake_rows.column("Also `this`", "string")]
    mapping = map_columns(contract, parsed, columns)
    return lake_rows.checked_rows(
        contract, parsed, mapping, columns, "bronze.rows", business_timezone="Europe/Amsterdam", load_id=7
    )


@pytest.mark.parametrize("dataset", [name for name in CONTRACTS if name != "customer_aliases"])
def test_every_contract_is_checked_in_words_that_spark_knows(dataset: str) -> None:
    for place, kind in enumerate(KINDS):
        further = ({"timezone": "Europe/Amsterdam"}, {"decimal": ",", "round_amounts": True, "ids": {"lower": True}})
        text = checked(dataset, kind, **further[place % 2])
        assert sqlglot.parse_one(text, read="spark") is not None
        called = set(re.findall(r"\b([a-z_]\w*)\s*\(", re.sub(r"'(?:[^'\\]|\\.)*'|`[^`]*`", "''", text).lower()))
        assert called - FUNCTIONS - WORDS == set()


@pytest.mark.parametrize("dataset", ["orders", "subscriptions", "customers", "kpi_targets"])
def test_versions_and_history_parse_in_sparks_dialect(dataset: str) -> None:
    contract = CONTRACTS[dataset]
    before = lake_rows.Before("s.now", "s.history")
    now = datetime(2024, 1, 1)
    for known, gone in ((None, None), (before, "s.gone")):
        rows = lake_rows.Judged(contract, "s.judged", "s.keys", gone, known, 2, now)
        texts = [
            lake_rows.judged(contract, "s.stage", known),
            rows.current(),
            rows.history(),
            lake_rows.conflicts(contract, "s.stage"),
            lake_rows.refused_rows(contract, "s.stage"),
            lake_rows.reasons("s.refused"),
            lake_rows.numbered(contract, contract.key[0], "true", "select * from s.stage"),
        ]
        for text in texts:
            assert sqlglot.parse_one(text, read="spark") is not None
    leaving = lake_rows.leaving(contract, "s.stage", "s.judged", before, follows=True, ghosts=True)
    assert sqlglot.parse_one(leaving, read="spark") is not None


def test_a_time_that_is_there_twice_is_the_second_as_in_duckdb() -> None:
    written = in_spark("select make_timestamp(epoch_us(timezone('Europe/Amsterdam', ordered_at))) as x from t", {})
    assert "TO_UTC_TIMESTAMP" in written.upper() and "GREATEST" in written
    assert "epoch" not in written.lower()


def test_patterns_end_where_the_text_ends() -> None:
    written = in_spark("select regexp_full_match(a, '[0-9]+') as x, regexp_matches(a, '^b$') as y from t", {})
    assert written == r"SELECT a RLIKE '(?d)\\A(?:[0-9]+)\\z' AS x, a RLIKE '(?d)^b\\z' AS y FROM t"


@pytest.mark.parametrize(
    ("expression", "named"),
    [("jaro_similarity(channel, 'x')", "jaro"), ("regexp_replace(channel, 'x', 'y')", "regexp_replace")],
)
def test_what_spark_would_read_otherwise_is_refused(expression: str, named: str) -> None:
    with pytest.raises(NotOnSpark, match=named):
        checked("orders", "string", timezone="UTC", columns={"channel": {"expression": expression}})


def test_calculations_have_no_result_where_they_fail() -> None:
    written = checked(
        "orders", "string", timezone="UTC", columns={"amount": {"expression": "amount * 2 / refunded_amount"}}
    )
    assert "TRY_DIVIDE" in written.upper() and "TRY_MULTIPLY" in written.upper()
