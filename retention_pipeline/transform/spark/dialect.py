"""The loader's SQL, which is DuckDB's, as Spark's: the same rules for a row, written once (ingest/checks, values, ids).

What the two engines have under the same name stays; what they call otherwise, or do otherwise, is rewritten here, one
function per difference. Anything else is refused: a function that nobody has looked at may mean another thing there.
Sessions have ANSI mode, UTC and decimals that lose nothing (`OF_LOADS` in lake_loader.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import sqlglot
from sqlglot import exp

# Every space separator of Unicode: what DuckDB's trim takes off, where Spark's takes blanks alone.
SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
# The same in both, by the classes that sqlglot has for them, and by name.
SAME = (
    *(exp.Case, exp.If, exp.And, exp.Or, exp.Cast, exp.TryCast, exp.Coalesce, exp.Nullif, exp.Abs, exp.Greatest),
    *(exp.Least, exp.Round, exp.Lower, exp.Upper, exp.Left, exp.Length, exp.Replace, exp.ConcatWs, exp.MD5, exp.Trim),
    *(exp.StartsWith, exp.RegexpLike, exp.Floor, exp.Ceil, exp.Sign, exp.Contains),
)
_WRITTEN_HERE = """
    date_format from_utc_timestamp get_json_object ltrim named_struct regexp_replace rint substr substring_index
    timestamp_micros to_json to_utc_timestamp translate try_add try_divide try_multiply try_parse_json try_subtract
    try_to_timestamp
"""
_WRITTEN = frozenset(_WRITTEN_HERE.split())
# 1.0E20 is written 1e+20, 1.5E-7 1.5e-07, and what is no number in small letters.
_EXPONENTS = (
    (r"(\.0)?E(?=[0-9])", "e+"),
    (r"(\.0)?E-", "e-"),
    ("e([+-])([0-9])$", "e$10$2"),
    ("NaN", "nan"),
    ("Infinity", "inf"),
)
_INSTANT = "instant that was local"  # a marker while a query is rewritten
_FORMS = {
    **{
        "d": "dd",
        "m": "MM",
        "Y": "yyyy",
        "H": "HH",
        "M": "mm",
        "S": "ss",
        "I": "hh",
        "p": "a",
        "b": "MMM",
        "B": "MMMM",
    },
    **{"f": "SSSSSS", "z": "[XXX][XX][X]", "%": "%"},
}


class NotOnSpark(Exception):
    """An expression of the settings that Spark would read otherwise, or not at all; str() is one line for users."""


def in_spark(sql: str, types: Mapping[str, str]) -> str:
    """A query of the loader in Spark's SQL. `types`: DuckDB's types of columns that are not text, by the names that
    they have in the query. Raises NotOnSpark.
    """
    tree = sqlglot.parse_one(sql, read="duckdb")
    for node in reversed(list(tree.bfs())):
        written = _rewritten(node, types)
        if written is not node:
            if node is tree:
                tree = written
            else:
                node.replace(written)
    tree = _without_markers(tree)
    _check(tree)
    return tree.sql(dialect="spark")


def _rewritten(node: exp.Expr, types: Mapping[str, str]) -> exp.Expr:
    """A part of a query whose parts are Spark's already."""
    for kind, rewrite in _RULES.items():
        if isinstance(node, kind):
            return rewrite(node, types)
    return node


def _type(node: exp.DataType, types: Mapping[str, str]) -> exp.Expr:
    """A time has no zone in raw and is UTC; Spark's timestamp is an instant, written and read in UTC."""
    if node.is_type("timestamp", "timestamptz", "datetime", "timestampntz"):
        return exp.DataType.build("timestamptz")
    return node


def _cast(node: exp.Cast, types: Mapping[str, str]) -> exp.Expr:
    """Numbers in floating point, and instants with a zone, as DuckDB writes them."""
    kind = types.get(node.this.name, "") if isinstance(node.this, exp.Column) else ""
    if node.to.is_type("varchar", "text"):
        if kind in ("DOUBLE", "FLOAT"):
            return _text_of_double(exp.cast(node.this.copy(), "text"), node.this)
        if kind == "TIMESTAMP WITH TIME ZONE":
            return exp.Paren(this=exp.DPipe(this=exp.cast(node.this.copy(), "text"), expression=_text("+00")))
    return node


def _try_cast(node: exp.TryCast, types: Mapping[str, str]) -> exp.Expr:
    """A whole number that is written with decimals (42.0), whose pattern was asked before."""
    is_text = not (isinstance(node.this, exp.Column) and node.this.name in types)
    if node.to.is_type("bigint") and is_text:
        whole = _called("substring_index", node.this, _text("."), exp.Literal.number(1))
        return exp.TryCast(this=whole, to=node.to, safe=True)
    return node


def _text_of_double(written: exp.Expr, value: exp.Expr) -> exp.Expr:
    """Java has an exponent from ten millions on and below a thousandth, DuckDB beyond 16 digits and four zeros."""
    plain = _called(
        "regexp_replace",
        exp.cast(exp.cast(written.copy(), "decimal(38, 21)"), "text"),
        _text(r"(\.[0-9]+?)0*$"),
        _text("$1"),
    )
    size = exp.Abs(this=value.copy())
    is_plain = exp.or_(
        exp.EQ(this=size.copy(), expression=exp.Literal.number(0)),
        exp.and_(
            exp.GTE(this=size.copy(), expression=exp.cast(exp.Literal.number("0.0001"), "double")),
            exp.LT(this=size, expression=exp.cast(exp.Literal.string("1e16"), "double")),
        ),
    )
    for pattern, by in _EXPONENTS:
        written = _called("regexp_replace", written, _text(pattern), _text(by))
    return exp.Paren(this=exp.case().when(is_plain, plain).else_(written))


def _try(node: exp.Try, types: Mapping[str, str]) -> exp.Expr:
    """A calculation that has no result where it fails: each of its steps, for Spark has no word for the whole."""
    inner: exp.Expr = node.this.copy()
    steps: dict[type[exp.Expr], str] = {
        exp.Mul: "try_multiply",
        exp.Add: "try_add",
        exp.Sub: "try_subtract",
        exp.Div: "try_divide",
    }
    for part in reversed(list(inner.bfs())):
        if type(part) in steps:
            sides = [part.this.copy(), part.expression.copy()]
            if isinstance(part, exp.Div):  # DuckDB divides in floating point
                sides = [exp.cast(side, "double") for side in sides]
            written: exp.Expr = _called(steps[type(part)], *sides)
        elif type(part) is exp.Cast:
            written = exp.TryCast(this=part.this.copy(), to=part.to.copy(), safe=True)
        else:
            continue
        if part is inner:
            inner = written
        else:
            part.replace(written)
    return inner


def _in_case(node: exp.Lower | exp.Upper, types: Mapping[str, str]) -> exp.Expr:
    """Letter by letter, as DuckDB does it: no two letters for one, no other sigma at the end of a word."""
    before, after = ("İΣ", "iσ") if isinstance(node, exp.Lower) else ("ß", "ẞ")
    return type(node)(this=_called("translate", node.this, _text(before), _text(after)))


def _trim(node: exp.Trim, types: Mapping[str, str]) -> exp.Expr:
    if node.expression or node.args.get("position"):
        raise NotOnSpark("trim of given signs")
    return exp.Trim(this=node.this, expression=_text(SPACES), position="BOTH")


def _full_match(node: exp.RegexpFullMatch, types: Mapping[str, str]) -> exp.Expr:
    return exp.RegexpLike(this=node.this, expression=_text(rf"(?d)\A(?:{_pattern(node.expression)})\z"))


def _match(node: exp.RegexpLike, types: Mapping[str, str]) -> exp.Expr:
    pattern = _pattern(node.expression)
    return node if pattern.startswith("(?d)") else exp.RegexpLike(this=node.this, expression=_text(f"(?d){pattern}"))


def _replace(node: exp.RegexpReplace, types: Mapping[str, str]) -> exp.Expr:
    """Of a pattern that fits the whole text; DuckDB replaces the first alone."""
    pattern = _pattern(node.expression)
    if not (pattern.startswith("^") and pattern.endswith(r"\z")):
        raise NotOnSpark("regexp_replace of a part of a text")
    by = node.args["replacement"].name.replace("$", r"\$")
    return _called("regexp_replace", node.this, _text(f"(?d){pattern}"), _text(re.sub(r"\\([0-9])", r"$\1", by)))


def _pattern(node: exp.Expr | None) -> str:
    """A pattern as Java has it: `$` is the end, and not what stands before a last line break."""
    if not isinstance(node, exp.Literal):
        raise NotOnSpark("a pattern that is made from a column")
    text = node.name
    return text[:-1] + r"\z" if text.endswith("$") and not text.endswith(r"\$") else text


def _trunc(node: exp.Expr, types: Mapping[str, str]) -> exp.Expr:
    return _called("rint", node.this)  # asked of whether a number is whole


def _json_array_type(node: exp.Expr, types: Mapping[str, str]) -> exp.Expr:
    first = _called("substr", _called("ltrim", node.this.copy()), exp.Literal.number(1), exp.Literal.number(1))
    return exp.Paren(this=exp.case(first).when(_text("{"), _text("OBJECT")).when(_text("["), _text("ARRAY")))


def _json_part(node: exp.Expr, types: Mapping[str, str]) -> exp.Expr:
    """The part of an object that a pointer such as /customer/id names."""
    steps = [part.name for part in node.expression.find_all(exp.JSONPathKey)] if node.expression else []
    path = node.expression.name if isinstance(node.expression, exp.Literal) else "/" + "/".join(steps)
    return _called("get_json_object", node.this, _text(_java_path(path)))


def _java_path(pointer: str) -> str:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.lstrip("/").split("/")]
    return "$" + "".join(f"['{step}']" for step in steps)


def _written_time(node: exp.TimeToStr, types: Mapping[str, str]) -> exp.Expr:
    """strftime of an instant: of a text that strptime reads, or of a count since 1970."""
    shown = node.args["format"].name
    form = "yyyy-MM-dd"
    if "T" in shown:
        form += "'T'HH:mm:ss.SSSSSS"
    if shown.endswith("Z"):
        form += "'Z'"
    return _called("date_format", node.this, _text(form))


def _java_form(form: str) -> str:
    """A form such as %d/%m/%Y as Java has it; letters that are no part of it stand in quotes."""
    parts = re.findall(r"%-?(.)|([^%]+)", form)
    java = ""
    for place, (directive, between) in enumerate(parts):
        if between:
            java += re.sub("([A-Za-z]+)", r"'\1'", between)
            continue
        if directive not in _FORMS:
            raise NotOnSpark(f"the form %{directive} of a time")
        letters = _FORMS[directive]
        stands_alone = not (place + 1 < len(parts) and parts[place + 1][0]) and not (place and parts[place - 1][0])
        java += letters[0] if stands_alone and directive in "dmHMSI" else letters
    return java


def _named(node: exp.Anonymous, types: Mapping[str, str]) -> exp.Expr:
    """Functions of DuckDB that sqlglot knows by name alone."""
    name, given = node.name.lower(), node.expressions
    if name == "timezone":
        zone, moment = given
        if isinstance(moment, exp.Anonymous) and moment.name == _INSTANT:
            return _called("from_utc_timestamp", moment.expressions[0], zone)
        if zone.name == "UTC":
            return exp.Anonymous(this=_INSTANT, expressions=[moment])
        return exp.Anonymous(this=_INSTANT, expressions=[_instant_of(moment, zone)])
    if name == "epoch_us":
        return exp.Anonymous(this=_INSTANT, expressions=[_without_markers(given[0])])
    if name == "make_timestamp":
        return _made_timestamp(given[0])
    if name == "isfinite":
        return exp.Boolean(this=True)  # Spark's times all are
    if name == "strlen":
        return _called("octet_length", *given)
    if name == "suffix":
        return _called("endswith", *given)
    if name == "json_valid":
        return exp.Paren(this=exp.Is(this=_called("try_parse_json", *given), expression=exp.null()).not_())
    if name == "json_exists":
        part = _called("get_json_object", given[0], _text(_java_path(given[1].name)))
        return exp.Paren(this=exp.Is(this=part, expression=exp.null()).not_())
    if name == "json_merge_patch" and isinstance(given[1], exp.Anonymous) and given[1].name == "named_struct":
        return _called("to_json", given[1])  # which leaves nulls out, too
    if name == "try_strptime":
        return _called("try_to_timestamp", given[0], _text(_java_form(given[1].name)))
    return node


def _instant_of(local: exp.Expr, zone: exp.Expr) -> exp.Expr:
    """A local time as UTC. Of a time that is there twice, when clocks go back, the second, as DuckDB takes it; Java
    takes the first. A time that is not there is in both the one by the clock before.
    """
    day = exp.Interval(this=_text("1"), unit=exp.var("DAY"))
    first = _called("to_utc_timestamp", local.copy(), zone.copy())
    tomorrow = _called(
        "to_utc_timestamp", exp.Add(this=exp.Paren(this=local.copy()), expression=day.copy()), zone.copy()
    )
    second = exp.Paren(this=exp.Sub(this=tomorrow, expression=day))
    is_there = exp.EQ(this=_called("from_utc_timestamp", second.copy(), zone.copy()), expression=local.copy())
    later = exp.Greatest(this=first.copy(), expressions=[second])
    return exp.Paren(this=exp.case().when(is_there, later).else_(first))


def _made_timestamp(given: exp.Expr) -> exp.Expr:
    if isinstance(given, exp.Anonymous) and given.name == _INSTANT:
        inner: exp.Expr = given.expressions[0]
        return inner
    return _called("timestamp_micros", given)


def _object(node: exp.JSONObject, types: Mapping[str, str]) -> exp.Expr:
    pairs = [part for pair in node.expressions for part in (pair.this, pair.expression)]
    return _called("named_struct", *pairs)


_RULES: dict[type[exp.Expr], Callable[..., exp.Expr]] = {
    exp.DataType: _type,
    exp.TryCast: _try_cast,
    exp.Cast: _cast,
    exp.Try: _try,
    exp.Trim: _trim,
    exp.Lower: _in_case,
    exp.Upper: _in_case,
    exp.RegexpFullMatch: _full_match,
    exp.RegexpLike: _match,
    exp.RegexpReplace: _replace,
    exp.Trunc: _trunc,
    exp.TimestampTrunc: _trunc,
    exp.JSONType: _json_array_type,
    exp.JSONExtractScalar: _json_part,
    exp.JSONObject: _object,
    exp.TimeToStr: _written_time,
    exp.UnixToTime: lambda node, types: _made_timestamp(node.this),
    exp.Anonymous: _named,
}


def _without_markers(tree: exp.Expr) -> exp.Expr:
    for node in reversed(list(tree.find_all(exp.Anonymous))):
        if node.name == _INSTANT:
            if node is tree:
                tree = node.expressions[0]
            else:
                node.replace(node.expressions[0])
    return tree


def _check(tree: exp.Expr) -> None:
    for node in tree.find_all(exp.Func):
        if isinstance(node, exp.Anonymous):
            if node.name.lower() not in _WRITTEN:
                raise NotOnSpark(f"the function {node.name}")
        elif not isinstance(node, SAME):
            raise NotOnSpark(f"the function {node.sql_name().lower()}")


def _called(name: str, *given: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(given))


def _text(text: str) -> exp.Literal:
    return exp.Literal.string(text)
