"""How the values of a file become the typed values of a contract, and what is wrong with those that do not: SQL.

Text is read strictly: DuckDB's casts alone would round 10.555, take 12.7 for 13, drop time zones and accept
'infinity'. A row with a problem keeps its place with a text in `_error`, which names every problem of the row; the
text is made only for such rows.
"""

from __future__ import annotations

import json
import re

from retention_pipeline.contracts import Column, Contract
from retention_pipeline.ingest.mapping import FileColumn, Mapping
from retention_pipeline.ingest.schema import literal, quoted
from retention_pipeline.settings import Source

DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
OFFSET = r"[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?"
INTEGER = r"[+-]?[0-9]{1,18}(\.0+)?"
FIRST_INSTANT, END_OF_INSTANTS = "1900-01-01", "2201-01-01"
TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def stage_query(
    contract: Contract,
    source: Source,
    mapping: Mapping,
    relation: str,
    *,
    business_timezone: str,
    load_id: str,
    row_error: str | None = None,
    whole_row: str | None = None,
) -> str:
    """The query that turns `relation` into rows of the stage: typed columns, `_extra`, `_error`, `_load_id`.

    `load_id` is an expression over the relation, and so is `row_error`: not null where the row cannot be read at all.
    `whole_row` is the JSON object that holds the row, where the source has such a thing: `_extra` is what is left of
    it.
    """
    present = [column for column in contract.columns if mapping.given[column.name] is not None]
    given = [f"{_given(column, source, mapping)} as {_given_name(column)}" for column in present]
    given.append(f"{_extra(mapping, whole_row)} as _extra")
    given.append(f"{row_error or 'cast(null as varchar)'} as _row_error")
    given.append(f"{_deleted(mapping)} as _deleted")
    given.append(f"cast({load_id} as bigint) as _load_id")
    parsed = ["_extra", "_row_error", "_deleted", "_load_id"]
    for column in contract.columns:
        if column not in present:
            parsed.append(
                f"cast({literal(column.default) if column.default else 'null'} as {column.type})"
                f" as {quoted(column.name)}"
            )
            if column.companion:
                parsed.append(f"cast(null as boolean) as {column.companion}")
            continue
        value, is_date = _parsed(column, source, mapping)
        if column.default is not None:
            value = f"case when {_given_name(column)} is null then {literal(column.default)} else {value} end"
        parsed.append(f"cast({value} as {column.type}) as {quoted(column.name)}")
        if column.companion:
            parsed.append(f"case when {_given_name(column)} is not null then {is_date} end as {column.companion}")
        parsed.append(_given_name(column))
    shifted = "*"
    if source.ended_at_is_last_day:
        day_after = f"cast({business_day('ended_at', business_timezone)} + 1 as timestamp)"
        shifted = (
            f"* replace ({day_after} as ended_at, case when ended_at is not null then true end as ended_at_is_date)"
        )
    typed = [quoted(name) for name, _ in contract.typed_columns]
    if mapping.hashed:
        typed[typed.index(quoted(mapping.hashed))] = f"{_row_hash(contract, mapping.hashed)} as {mapping.hashed}"
    return f"""
        select {", ".join(typed)}, _extra,
            {_error(contract, source, mapping, present, business_timezone)} as _error,
            _load_id, _deleted
        from (
            select {shifted} from (
                select {", ".join(parsed)} from (
                    select {", ".join(given)} from {relation}
                )
            )
        )
    """


def business_day(column: str, business_timezone: str) -> str:
    """The business day of an instant column: a bare date as it stands, else the date in the business time zone."""
    local = f"cast(timezone({literal(business_timezone)}, timezone('UTC', {column})) as date)"
    return f"case when {column}_is_date then cast({column} as date) else {local} end"


def _deleted(mapping: Mapping) -> str:
    """Whether the source marks the row as gone: its column is true, or holds anything else than false."""
    if mapping.deleted is None:
        return "false"
    text = f"lower(trim(cast({mapping.deleted.expression} as varchar)))"
    return f"coalesce({text} <> '' and {text} not in {FALSE}, false)"


def _given_name(column: Column) -> str:
    return quoted(f"given {column.name}")


def _source_type(column: Column, source: Source, mapping: Mapping) -> str:
    """The type in which a column's value arrives after the mapping of values, which is done on text."""
    file_column = mapping.given[column.name]
    assert file_column is not None
    return "VARCHAR" if column.name in source.values else file_column.type


def _given(column: Column, source: Source, mapping: Mapping) -> str:
    """The value as it was given: blank text is null, and names of the source's values are those of the contract."""
    file_column = mapping.given[column.name]
    assert file_column is not None
    kind = file_column.type
    if kind != "VARCHAR" and column.kind not in ("text", "enum", "currency") and column.name not in source.values:
        return file_column.expression
    text = file_column.expression if kind == "VARCHAR" else _as_text(file_column)
    text = f"nullif(trim({text}), '')"
    if column.kind == "enum":
        text = f"lower({text})"
    elif column.kind == "currency" and column.name not in source.values:
        text = f"upper({text})"
    targets = source.values.get(column.name)
    if not targets:
        return text
    branches = []
    for target, names in targets.items():
        for name in names:
            name_text = (str(name).lower() if isinstance(name, bool) or column.kind == "enum" else str(name)).strip()
            branches.append(f"when {literal(name_text)} then {literal(target) if target else 'null'}")
    mapped = f"case {text} {' '.join(branches)} else {text} end"
    return f"upper({mapped})" if column.kind == "currency" else mapped


def _as_text(file_column: FileColumn) -> str:
    """A typed value as text; whole numbers that came as floating point lose their '.0'."""
    expression = file_column.expression
    if file_column.type in ("DOUBLE", "FLOAT"):
        whole = f"cast(cast({expression} as bigint) as varchar)"
        is_whole = f"{expression} = trunc({expression}) and abs({expression}) < 1e15"
        return f"case when {is_whole} then {whole} else cast({expression} as varchar) end"
    return f"cast({expression} as varchar)"


def _extra(mapping: Mapping, whole_row: str | None) -> str:
    """What no contract column took, as the text of a JSON object without nulls; null if nothing is left."""
    if whole_row:
        taken = {column.name: None for column in mapping.given.values() if column and column.name}
        rest = f"json_merge_patch({whole_row}, {literal(json.dumps(taken))})"
    elif mapping.extra:
        pairs = ", ".join(f"{literal(column.name)}, cast({column.expression} as varchar)" for column in mapping.extra)
        rest = f"json_object({pairs})"
    else:
        return "cast(null as varchar)"
    return f"nullif(cast(json_merge_patch('{{}}', {rest}) as varchar), '{{}}')"


def _parsed(column: Column, source: Source, mapping: Mapping) -> tuple[str, str]:
    """(the typed value, null where it cannot be read; whether it is a bare date) as expressions over the given."""
    given = _given_name(column)
    kind = _source_type(column, source, mapping)
    if column.kind == "decimal":
        return _decimal(column, given, kind, source), ""
    if column.kind == "integer":
        if kind in ("DOUBLE", "FLOAT"):
            return f"case when {given} = trunc({given}) then try_cast({given} as bigint) end", ""
        if kind != "VARCHAR":
            return f"case when try_cast({given} as bigint) = {given} then try_cast({given} as bigint) end", ""
        return f"case when regexp_full_match({given}, '{INTEGER}') then try_cast({given} as bigint) end", ""
    if column.kind == "boolean":
        if kind == "BOOLEAN":
            return given, ""
        text = f"lower(cast({given} as varchar))"
        return f"case when {text} in {TRUE} then true when {text} in {FALSE} then false end", ""
    if column.kind in ("instant", "version", "date"):
        return _instant(column, given, kind, source.timezone)
    if column.kind == "enum":
        return f"case when {given} in ({', '.join(map(literal, column.accept))}) then {given} end", ""
    if column.kind == "currency":
        return f"case when regexp_full_match({given}, '[A-Z]{{3}}') then {given} end", ""
    return given, ""


def _decimal(column: Column, given: str, kind: str, source: Source) -> str:
    scale = column.scale
    if kind in ("DOUBLE", "FLOAT") and not source.round_amounts:
        near = f"abs({given} - round({given}, {scale})) <= 1e-{scale + 3} and abs({given}) < 1e{18 - scale}"
        return f"case when {near} then cast(round({given}, {scale}) as {column.type}) end"
    if kind in ("DOUBLE", "FLOAT"):  # through text, for 1.005 lies below 1.005 in binary
        return f"try_cast(cast({given} as varchar) as {column.type})"
    if kind != "VARCHAR":
        exact = f"try_cast({given} as {column.type})"
        return exact if source.round_amounts else f"case when {exact} = {given} then {exact} end"
    point = re.escape(source.decimal)
    further = "[0-9]*" if source.round_amounts else "0*"
    decimals = f"[0-9]{{0,{scale}}}{further}"
    pattern = rf"[+-]?([0-9]{{1,{18 - scale}}}({point}{decimals})?|{point}[0-9]{decimals})"
    text = f"replace({given}, ',', '.')" if source.decimal == "," else given
    return f"case when regexp_full_match({given}, '{pattern}') then try_cast({text} as {column.type}) end"


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


def _row_hash(contract: Contract, hashed: str) -> str:
    values = (f"coalesce(cast({quoted(name)} as varchar), '')" for name, _ in contract.typed_columns if name != hashed)
    return f"md5(concat_ws(chr(31), {', '.join(values)}))"


def _error(contract: Contract, source: Source, mapping: Mapping, present: list[Column], business_timezone: str) -> str:
    """Null for a good row, else its problems; the reasons are evaluated for bad rows only."""
    good: list[str] = ["_row_error is null"]
    reasons: list[str] = []
    for column in contract.columns:
        if column.name == mapping.hashed:
            continue
        value, given = quoted(column.name), _given_name(column)
        if column.required:
            good.append(f"{value} is not null")
        if column not in present:
            continue
        if column.required:
            reasons.append(f"case when {given} is null then '{column.name} is missing' end")
        if column.kind != "text":
            if not column.required:
                good.append(f"({given} is null or {value} is not null)")
            shown = f"'''' || left(cast({given} as varchar), 60) || ''''"
            unread = _unread(column, source, _source_type(column, source, mapping), given)
            reasons.append(
                f"case when {given} is not null and {value} is null then '{column.name}: ' || {shown} || {unread} end"
            )
            if column.kind in ("instant", "version", "date"):
                outside = f"({value} < '{FIRST_INSTANT}' or {value} >= '{END_OF_INSTANTS}')"
                good.append(f"{outside} is not true")
                reasons.append(
                    f"case when {outside} then '{column.name}: ' || {shown} || ' is outside the years 1900 to 2200' end"
                )
    for rule in contract.rules:
        broken = _rule(rule.broken, business_timezone)
        good.append(f"({broken}) is not true")
        reasons.append(f"case when {broken} then {literal(rule.reason)} end")
    all_reasons = f"concat_ws('; ', {', '.join(reasons)})"
    return f"case when {' and '.join(good)} then null else coalesce(_row_error, {all_reasons}) end"


def _unread(column: Column, source: Source, kind: str, given: str) -> str:
    """An expression for what is wrong with a value that could not be read."""
    if column.kind in ("instant", "version") and source.timezone is None:
        local = f"regexp_full_match({given}, '{DAY}{TIME}')" if kind == "VARCHAR" else str(kind != "DATE").lower()
        return (
            f"case when {local} then ' has no time zone, and the settings of the source give no timezone'"
            f" else ' is no timestamp or date (ISO 8601)' end"
        )
    return literal(
        {
            "decimal": f" is no number with at most {column.scale} decimals"
            f" (decimal separator {source.decimal!r}; round_amounts: true would round)",
            "integer": " is no whole number",
            "boolean": " is neither true nor false",
            "enum": f" is none of: {', '.join(column.accept)}",
            "currency": " is no ISO 4217 currency code (three letters)",
            "date": " is no date (YYYY-MM-DD)",
        }.get(column.kind, " is no timestamp or date (ISO 8601)")
    )


def _rule(broken: str, business_timezone: str) -> str:
    """Replace `{before:a,b}`: a lies before b; where one is a bare date and the other is not, by their days."""

    def before(match: re.Match[str]) -> str:
        first, second = match.group(1), match.group(2)
        days = f"{business_day(first, business_timezone)} < {business_day(second, business_timezone)}"
        return f"case when {first}_is_date = {second}_is_date then {first} < {second} else {days} end"

    return re.sub(r"\{before:(\w+),(\w+)\}", before, broken)
