"""Every model as dbt compiles it for DuckDB and for Spark: both texts parse, and Spark has what its text asks for.

Nothing is run, so neither Spark nor Java is needed. tests/spark builds the models on a Spark and compares their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlglot
from nights.compiled_models import AS_OF, compiled
from sqlglot import Token, TokenType, exp
from support.spark_home import stand_in_for_pyspark

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.settings import Settings
from retention_pipeline.transform.arguments import dbt_vars
from retention_pipeline.transform.manifest import PROJECT, manifest_json
from retention_pipeline.transform.spark.models import models_for_spark

MODELS = sorted(
    node["name"]
    for node in manifest_json()["nodes"].values()
    if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral"
)
DIALECTS = {"duckdb": "duckdb", "spark": "spark"}
# `show functions` of Spark 4.3.0.
SPARK_FUNCTIONS = frozenset((Path(__file__).parents[1] / "unit" / "spark_functions.txt").read_text().split())
# Words that may stand before a bracket and are not functions.
# fmt: off
NO_FUNCTIONS = {
    "all", "and", "any", "as", "between", "by", "case", "cast", "decimal", "distinct", "else", "except", "exists",
    "extract", "filter", "from", "group", "grouping", "having", "in", "intersect", "join", "not", "on", "or",
    "over", "partition", "select", "sets", "then", "union", "using", "values", "when", "where",
}
# fmt: on
DATES_BY_NAME = {"dayofweek", "weekday", "isodow", "strftime", "date_format", "now", "today", "current_timestamp"}
OTHER_TYPES = {"varchar", "text", "hugeint", "timestamptz", "int8", "float8", "ubigint"}


class Text:
    """One compiled text: its words, and its tree in a dialect."""

    def __init__(self, sql: str, dialect: str) -> None:
        self.sql = sql
        self.tree = sqlglot.parse_one(sql, dialect=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        self.tokens = sqlglot.tokenize(sql, dialect=dialect)

    def has(self, *kinds: type[exp.Expression]) -> bool:
        """Whether the tree has an expression of one of these kinds."""
        return self.tree.find(*kinds) is not None

    def functions(self) -> set[str]:
        """What is called, as it is written: a tree has one name for what engines call differently."""
        return {
            word.text.lower()
            for before, word, after in zip([None, *self.tokens], self.tokens, self.tokens[1:], strict=False)
            if after.token_type is TokenType.L_PAREN
            and (word.text[:1].isalpha() or word.text.startswith("_"))
            and word.token_type is not TokenType.STRING
            and not (before and before.token_type in (TokenType.ALIAS, TokenType.RECURSIVE))  # as numbers(n)
            and word.text.lower().split()[0] not in NO_FUNCTIONS
        }


def _windows(text: Text) -> Iterator[exp.Window]:
    yield from text.tree.find_all(exp.Window)


def _counts_distinct_in_a_window(text: Text) -> bool:
    return any(window.this.find(exp.Distinct) for window in _windows(text))


def _numbers_rows_without_an_order(text: Text) -> bool:
    return any(
        isinstance(window.this, exp.RowNumber) and not window.args.get("order") and not window.args.get("alias")
        for window in _windows(text)
    )


def _words(text: Text) -> set[str]:
    return {
        token.text.lower() for token in text.tokens if token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)
    }


def _follow(text: Text, *wanted: Callable[[Token], bool]) -> bool:
    return any(
        all(is_wanted(token) for is_wanted, token in zip(wanted, text.tokens[start:], strict=False))
        for start in range(len(text.tokens) - len(wanted) + 1)
    )


def _is(kind: TokenType) -> Callable[[Token], bool]:
    return lambda token: token.token_type is kind


# What Spark does not understand, or understands in another way than DuckDB, though sqlglot takes it.
NOT_SHARED: dict[str, tuple[Callable[[Text], bool], str]] = {
    "a cast with two colons": (lambda text: _follow(text, _is(TokenType.DCOLON)), "select a::date from t"),
    "a quoted identifier": (
        lambda text: any(text.sql[token.start] == '"' for token in text.tokens),
        'select "Interval" from t',
    ),
    "rows of a list": (lambda text: bool(text.functions() & {"unnest", "explode"}), "select * from unnest(x)"),
    "exclude or replace after *": (
        lambda text: any(star.args.get("except_") or star.args.get("replace") for star in text.tree.find_all(exp.Star)),
        "select * except (a) from t",
    ),
    "distinct on": (
        lambda text: any(distinct.args.get("on") for distinct in text.tree.find_all(exp.Distinct)),
        "select distinct on (a) b from t",
    ),
    "a type of one engine": (lambda text: bool(_words(text) & OTHER_TYPES), "select cast(a as varchar) from t"),
    "a list or struct": (lambda text: text.has(exp.Array, exp.Struct, exp.Bracket), "select [1, 2] from t"),
    "a sample": (lambda text: text.has(exp.TableSample), "select * from t tablesample (5 rows)"),
    "a name of a day, the current time": (
        lambda text: bool((text.functions() | _words(text)) & (DATES_BY_NAME | {"current_date"})),
        "select dayofweek(d) from t",
    ),
    "a count of distinct values in a window": (
        _counts_distinct_in_a_window,
        "select count(distinct a) over (order by b) from t",
    ),
    "row_number without an order": (_numbers_rows_without_an_order, "select row_number() over () from t"),
    "ignore nulls": (lambda text: text.has(exp.IgnoreNulls), "select lag(a) ignore nulls over (order by b) from t"),
    "a window made of another one": (
        lambda text: any(window.args.get("spec") and window.args.get("alias") for window in _windows(text)),
        "select sum(a) over (so_far range between 3 preceding and current row) from t window so_far as (order by b)",
    ),
    "a minus after the name of a window": (  # Spark reads `so_far - a` as one name
        lambda text: _follow(text, _is(TokenType.OVER), _is(TokenType.VAR), _is(TokenType.DASH)),
        "select sum(a) over so_far - a from t window so_far as (order by b)",
    ),
}


@cache
def _compiled(engine: str) -> dict[str, str]:
    settings = Settings.model_validate(
        {
            # With everything that brings another text: a zone, a beginning, dimensions of all kinds.
            "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR", "data_start": "2019-03-01"},
            "segments": ["country", "plan", "first_order_channel", "engagement_group", "nps_class", "shoe_size"],
            "sources": {dataset: {"type": "files", "path": f"{dataset}.csv"} for dataset in CONTRACTS},
        }
    )
    with TemporaryDirectory() as folder:
        if engine == "spark":
            variables = dbt_vars(
                settings,
                as_of=AS_OF,
                previous_as_of=None,
                applied_load_id=-1,
                full_refresh=True,
                run_id="test",
                connected_datasets=settings.connected_datasets,
            )
            with stand_in_for_pyspark():
                models = models_for_spark(PROJECT, variables, schema="generation", folder=Path(folder), excluded=())
            return {model.name: model.sql for model in models}
        return {model.name: model.sql for model in compiled(settings, Path(folder), night=False)}


@pytest.mark.parametrize("engine", DIALECTS)
def test_every_model_is_compiled(engine: str) -> None:
    assert sorted(_compiled(engine)) == MODELS


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("engine", DIALECTS)
def test_a_model_is_one_query_in_the_dialect(engine: str, name: str) -> None:
    text = Text(_compiled(engine)[name], DIALECTS[engine])
    assert isinstance(text.tree, exp.Query)
    assert len(sqlglot.parse(text.sql, dialect=DIALECTS[engine])) == 1


@pytest.mark.parametrize("name", MODELS)
def test_spark_has_every_function_of_a_model(name: str) -> None:
    assert Text(_compiled("spark")[name], "spark").functions() - SPARK_FUNCTIONS == set()


@pytest.mark.parametrize("name", MODELS)
def test_spark_reads_a_model_as_duckdb_does(name: str) -> None:
    text = Text(_compiled("spark")[name], "spark")
    assert [rule for rule, (is_broken, _) in NOT_SHARED.items() if is_broken(text)] == []


@pytest.mark.parametrize("rule", NOT_SHARED)
def test_a_rule_sees_what_it_forbids(rule: str) -> None:
    is_broken, example = NOT_SHARED[rule]
    assert is_broken(Text(example, "spark"))


def test_functions_are_found_as_they_are_written() -> None:
    text = Text("select epoch_us(n), sum(n) over (order by n) from range(0, 9) as numbers(n)", "spark")
    assert text.functions() == {"range", "epoch_us", "sum"}
    assert text.functions() - SPARK_FUNCTIONS == {"epoch_us"}


def test_a_text_that_is_no_query_of_the_dialect_is_refused() -> None:
    with pytest.raises(sqlglot.errors.ParseError):
        Text("select a from t where", "spark")
    with pytest.raises(sqlglot.errors.ParseError):
        Text("select (a from t", "duckdb")
