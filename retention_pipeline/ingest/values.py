"""How one value of a file becomes a value of a contract column: SQL expressions, strict and nearly free.

Text is read strictly: DuckDB's casts alone would round 10.555, take 12.7 for 13, drop time zones and accept
'infinity'. Patterns that say what is allowed cost three times as much as the cast. So a value is cast first, and where
the result written out is the very text that was given, it is right; only other texts are held against the patterns.
What both ways accept is the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from retention_pipeline.contracts import Column
from retention_pipeline.ingest.file_columns import FileColumn
from retention_pipeline.ingest.ids import clean_id, is_one_of, is_plain_id, not_an_object
from retention_pipeline.ingest.mapping import Mapping
from retention_pipeline.ingest.schema import literal, quoted
from retention_pipeline.settings import Source

DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
OFFSET = r"[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?"
INTEGER = r"[+-]?[0-9]{1,18}(\.0+)?"
CURRENCY = "[A-Z]{3}"
END_OF_TIME = "9999-12-31"
# What programs write where there is no date: the first days of their calendars, the last one of all.
PLACEHOLDERS = ("1900-01-01", "1899-12-30", "1899-12-31", "1970-01-01", "0001-01-01", "1753-01-01", END_OF_TIME)
TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
PLAIN_TRUE, PLAIN_FALSE = ("true", "t"), ("false", "f")


@dataclass(frozen=True)
class ValueReading:
    """The steps from a file's value to a typed one, each an expression over the steps before it.

    `text`: as it stands in the file; `quick`: cast, whether that may be or not; `same`: whether the text is plain, so
    that `quick` is right; `given`: without blanks around it, null where nothing is left; `value`: typed, null where it
    cannot be read; `is_date`: whether an instant is a bare date. `quick` and `same` are None where there is no short
    way, and `text` then is `given` already.
    """

    text: str
    quick: str | None
    same: str | None
    given: str | None
    value: str
    is_date: str


def given_name(column: Column) -> str:
    """The name of the step `given` of a column."""
    return quoted(f"given {column.name}")


def text_name(column: Column) -> str:
    """The name of the step `text` of a column."""
    return quoted(f"text {column.name}")


def quick_name(column: Column) -> str:
    """The name of the step `quick` of a column."""
    return quoted(f"quick {column.name}")


def same_name(column: Column) -> str:
    """The name of the step `same` of a column."""
    return quoted(f"same {column.name}")


def source_type(column: Column, source: Source, mapping: Mapping) -> str:
    """The type in which a column's value arrives after the mapping of values, which is done on text."""
    file_column = mapping.given[column.name]
    assert file_column is not None
    return "VARCHAR" if column.name in source.values else file_column.type


def value_reading(column: Column, source: Source, mapping: Mapping, *, short_ways: bool = True) -> ValueReading:
    """How a contract column is read that the file has. `short_ways`: by what DuckDB writes, where that is quicker."""
    file_column = mapping.given[column.name]
    assert file_column is not None
    file_column = _without_placeholders(column, source, file_column)
    value, is_date = _careful(column, source, mapping)
    is_mapped = column.name in source.values
    if short_ways and file_column.type == "VARCHAR" and not is_mapped:
        text, given = text_name(column), f"nullif(trim({text_name(column)}), '')"
        short = _short_way(column, source, text, quick_name(column))
        if short is not None:
            quick, same, quick_value = short
            if column.is_id:
                given = clean_id(column, source, given)
            elif column.kind in ("enum", "currency"):
                given = f"{'lower' if column.kind == 'enum' else 'upper'}({given})"
            return ValueReading(
                file_column.expression,
                quick,
                same,
                f"case when {same_name(column)} then {text} else {given} end",
                f"case when {same_name(column)} then {quick_value} else {value} end",
                is_date,
            )
    return ValueReading(_given(column, source, file_column), None, None, None, value, is_date)


def _without_placeholders(column: Column, source: Source, file_column: FileColumn) -> FileColumn:
    """Days that stand for nothing become null: an end at the end of time, and all of them where the settings say so."""
    if column.kind not in ("instant", "date") or not (column.may_be_open or source.placeholder_dates == "empty"):
        return file_column
    days = PLACEHOLDERS if source.placeholder_dates == "empty" else (END_OF_TIME,)
    shown = f"left(trim(cast({file_column.expression} as varchar)), 10)"
    kept = f"case when {is_one_of(shown, days)} then null else {file_column.expression} end"
    return replace(file_column, expression=kept)


def _short_way(column: Column, source: Source, text: str, quick: str) -> tuple[str | None, str, str] | None:
    """(`quick`, `same`, the value where `same` is true) for text that most files have; None if there is none."""
    if column.is_id:
        return None, is_plain_id(column, source, text), text
    if column.kind == "text":
        # All ASCII, not blank at either end: nothing to trim, and trimming costs four times as much as this.
        return None, f"strlen({text}) = length({text}) and {text} >= '!' and not suffix({text}, ' ')", text
    if column.kind == "enum":
        return None, is_one_of(text, column.accept), text
    if column.kind == "currency":
        return None, f"regexp_full_match({text}, '{CURRENCY}')", text
    if column.kind == "boolean":
        return None, is_one_of(text, PLAIN_TRUE + PLAIN_FALSE), is_one_of(text, PLAIN_TRUE)
    written = f"cast({quick} as varchar)"
    if column.kind == "integer":
        return f"try_cast({text} as bigint)", f"{written} = {text} and length({text}) <= 18", quick
    if column.kind == "decimal":
        if source.decimal != ".":
            return None
        return f"try_cast({text} as {column.type})", f"{written} = {text}", quick
    if column.kind == "date":
        return f"try_cast({text} as date)", f"{written} = {text} and length({text}) = 10", quick
    return _short_way_of_instant(source.timezone, text, quick)


def _short_way_of_instant(timezone: str | None, text: str, quick: str) -> tuple[str, str, str]:
    """As DuckDB writes it: 2024-01-31 12:00:00 with up to six decimals, or so with T and Z; in UTC also with +00."""
    usual = f"case when contains({text}, 'T') then replace(replace({text}, 'T', ' '), 'Z', '+00') else {text} end"
    written = f"cast({quick} as varchar)"
    length = len("2000-01-01 00:00:00")
    utc, local = f"{written} || '+00' = {usual}", f"{written} = {usual}"
    with_zone = f"suffix({text}, '+00') or suffix({text}, 'Z')"
    if timezone is None:
        same = f"length({text}) > {length} and {utc}"
    else:
        zoned = utc if timezone == "UTC" else "false"
        same = f"""case when length({text}) = {length} then {local} when length({text}) < {length} then false
            when {with_zone} then {zoned} else {local} end"""
    return f"try_cast({text} as timestamp)", same, _local(quick, timezone or "UTC")


def _given(column: Column, source: Source, file_column: FileColumn) -> str:
    """The value as it was given: blank text is null, and names of the source's values are those of the contract."""
    kind = file_column.type
    if kind != "VARCHAR" and column.kind not in ("text", "enum", "currency") and column.name not in source.values:
        return file_column.expression
    text = file_column.text
    text = f"nullif(trim({text}), '')"
    if column.is_id:
        text = clean_id(column, source, text)
    if column.kind == "enum":
        text = f"lower({text})"
    elif column.kind == "currency" and column.name not in source.values:
        text = f"upper({text})"
    targets = source.values.get(column.name)
    if not targets:
        return text
    branches = []
    for target, names in targets.items():
        for name in (written for given in names for written in _written(given)):
            name_text = (name.lower() if column.kind == "enum" else name).strip()
            branches.append(f"when {literal(name_text)} then {literal(target) if target else 'null'}")
    mapped = f"case {text} {' '.join(branches)} else {text} end"
    return f"upper({mapped})" if column.kind == "currency" else mapped


def _written(name: str | int | float | bool) -> tuple[str, ...]:
    """How a name of a value may stand in a source; YAML takes a bare `no` for false."""
    if isinstance(name, bool):
        return ("true", "yes", "on") if name else ("false", "no", "off")
    return (str(name),)


def _careful(column: Column, source: Source, mapping: Mapping) -> tuple[str, str]:
    """(the typed value, null where it cannot be read; whether it is a bare date) as expressions over the given."""
    given = given_name(column)
    kind = source_type(column, source, mapping)
    if column.kind == "decimal":
        return _decimal(column, given, kind, source), ""
    if column.kind == "integer":
        if kind in ("DOUBLE", "FLOAT"):
            return f"case when {given} = trunc({given}) then try_cast({given} as bigint) end", ""
        if kind != "VARCHAR" and _is_narrow(kind, 0):
            return f"case when try_cast({given} as bigint) = {given} then try_cast({given} as bigint) end", ""
        if kind != "VARCHAR":
            given = f"cast({given} as varchar)"
        return f"case when regexp_full_match({given}, '{INTEGER}') then try_cast({given} as bigint) end", ""
    if column.kind == "boolean":
        if kind == "BOOLEAN":
            return given, ""
        text = f"lower(cast({given} as varchar))"
        return f"case when {is_one_of(text, TRUE)} then true when {is_one_of(text, FALSE)} then false end", ""
    if column.kind in ("instant", "version", "date"):
        return _instant(column, given, kind, source.timezone)
    if column.kind == "enum":
        return f"case when {is_one_of(given, column.accept)} then {given} end", ""
    if column.kind == "currency":
        return f"case when regexp_full_match({given}, '{CURRENCY}') then {given} end", ""
    return (not_an_object(given) if column.is_id else given), ""


def _decimal(column: Column, given: str, kind: str, source: Source) -> str:
    scale = column.scale
    if kind in ("DOUBLE", "FLOAT") and not source.round_amounts:
        near = f"abs({given} - round({given}, {scale})) <= 1e-{scale + 3} and abs({given}) < 1e{18 - scale}"
        return f"case when {near} then cast(round({given}, {scale}) as {column.type}) end"
    if kind in ("DOUBLE", "FLOAT"):  # through text, for 1.005 lies below 1.005 in binary
        return f"try_cast(cast({given} as varchar) as {column.type})"
    if kind.lower() == column.type:
        return given
    if kind != "VARCHAR" and _is_narrow(kind, scale):
        exact = f"try_cast({given} as {column.type})"
        return exact if source.round_amounts else f"case when {exact} = {given} then {exact} end"
    if kind != "VARCHAR":
        return _decimal(column, f"cast({given} as varchar)", "VARCHAR", source.model_copy(update={"decimal": "."}))
    point = re.escape(source.decimal)
    further = "[0-9]*" if source.round_amounts else "0*"
    decimals = f"[0-9]{{0,{scale}}}{further}"
    pattern = rf"[+-]?([0-9]{{1,{18 - scale}}}({point}{decimals})?|{point}[0-9]{decimals})"
    text = f"replace({given}, ',', '.')" if source.decimal == "," else given
    return f"case when regexp_full_match({given}, '{pattern}') then try_cast({text} as {column.type}) end"


def _is_narrow(kind: str, scale: int) -> bool:
    """Whether numbers of a type can be compared with a contract's: both fit into one type of 38 digits."""
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    if decimal is None:
        return kind not in ("HUGEINT", "UHUGEINT", "UBIGINT", "BIGNUM")
    width, decimals = int(decimal[1]), int(decimal[2])
    return max(width - decimals, 19 - scale) + max(decimals, scale) <= 38


def _instant(column: Column, given: str, kind: str, timezone: str | None) -> tuple[str, str]:
    if kind == "DATE":
        return f"cast({given} as timestamp)", "true"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"case when isfinite({given}) then {_utc(given)} end", "false"
    if kind.startswith("TIMESTAMP"):
        finite = f"case when isfinite(cast({given} as timestamp)) then cast({given} as timestamp) end"
        return _local(finite, timezone), "false"
    if kind != "VARCHAR":
        return "null", "false"
    local = _local(f"try_cast({given} as timestamp)", timezone)
    if column.kind == "date":
        midnight = f"regexp_full_match({given}, '{DAY}([T ]00:00(:00(\\.0+)?)?)?')"
        return f"case when {midnight} then try_cast(left({given}, 10) as date) end", ""
    value = f"""case
        when length({given}) = 10 and regexp_full_match({given}, '{DAY}') then try_cast({given} as timestamp)
        when regexp_full_match({given}, '{DAY}{TIME}(Z| ?UTC|{OFFSET})')
            then {_utc(f"try_cast({given} as timestamptz)")}
        when regexp_full_match({given}, '{DAY}{TIME}') then {local}
        when regexp_full_match({given}, '{DAY}{TIME} {OFFSET}')
            then {_utc(f"try_cast(replace(replace({given}, ' +', '+'), ' -', '-') as timestamptz)")}
        end"""
    if column.kind == "version":  # a bare date is 00:00 in the source's zone; it only orders versions
        start_of_day = _local(f"try_cast({given} as timestamp)", timezone or "UTC")
        value = value.replace(f"then try_cast({given} as timestamp)\n", f"then {start_of_day}\n", 1)
    return value, f"length({given}) = 10"


def _local(instant: str, timezone: str | None) -> str:
    """A time without a zone, taken to be in the source's zone; null where the source names none."""
    if timezone is None:
        return "cast(null as timestamp)"
    return instant if timezone == "UTC" else _utc(f"timezone({literal(timezone)}, {instant})")


def _utc(instant: str) -> str:
    """A timestamp with zone as naive UTC; by way of microseconds, a third of the cost of timezone('UTC', …)."""
    return f"make_timestamp(epoch_us({instant}))"
