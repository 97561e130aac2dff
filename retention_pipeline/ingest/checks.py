"""The query that turns the rows of a file into typed rows of a contract, each with what is wrong with it.

A row with a problem keeps its place with a text in `_error`, which names every problem of the row; the text is made
only for such rows. How a single value is read is in `values`.
"""

from __future__ import annotations

import json
import re

from retention_pipeline.contracts import Column, Contract
from retention_pipeline.ingest.ids import is_one_of
from retention_pipeline.ingest.mapping import Mapping
from retention_pipeline.ingest.schema import literal, quoted
from retention_pipeline.ingest.values import (
    DAY,
    FALSE,
    PLACEHOLDERS,
    TIME,
    given_name,
    quick_name,
    same_name,
    source_type,
    text_name,
    value_reading,
)
from retention_pipeline.settings import Made, Source

# ISO 4217: currencies without a smaller unit, and those whose smaller unit is a thousandth.
WITHOUT_DECIMALS = (
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"),
    *("XAF", "XOF", "XPF"),
)
WITH_THREE_DECIMALS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
FIRST_INSTANT, END_OF_INSTANTS, AFTER_PLACEHOLDERS = "1900-01-01", "2201-01-01", "1970-01-02"


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
    beside: tuple[str, ...] = (),
    short_ways: bool = True,
) -> str:
    """The query that turns `relation` into rows of the stage: typed columns, `_extra`, `_error`, `_load_id`.

    `load_id` is an expression over the relation, and so is `row_error`: not null where the row cannot be read at all.
    `whole_row` is the JSON object that holds the row, where the source has such a thing: `_extra` is what is left of
    it. `beside`: columns of the relation that the result has too. `short_ways`: whether what DuckDB writes of a value
    may be held against its text; other engines write other texts.
    """
    present = [column for column in contract.columns if mapping.given[column.name] is not None]
    readings = {column.name: value_reading(column, source, mapping, short_ways=short_ways) for column in present}
    taken = [
        f"{_extra(mapping, whole_row)} as _extra",
        f"{row_error or 'cast(null as varchar)'} as _row_error",
        f"{_deleted(mapping)} as _deleted",
        f"cast({load_id} as bigint) as _load_id",
        *beside,
    ]
    quick, same, given = [], [], []
    parsed = ["_extra", "_row_error", "_deleted", "_load_id", *beside]
    for column in contract.columns:
        if column not in present:
            parsed.append(
                f"cast({literal(column.default) if column.default else 'null'} as {column.type})"
                f" as {quoted(column.name)}"
            )
            if column.companion:
                parsed.append(f"cast(null as boolean) as {column.companion}")
            continue
        reading = readings[column.name]
        taken.append(f"{reading.text} as {text_name(column) if reading.given else given_name(column)}")
        if reading.quick:
            quick.append(f"{reading.quick} as {quick_name(column)}")
        if reading.given:
            same.append(f"{reading.same} as {same_name(column)}")
            given.append(f"{reading.given} as {given_name(column)}")
        value = reading.value
        if column.default is not None:
            value = f"case when {given_name(column)} is null then {literal(column.default)} else {value} end"
        parsed.append(f"cast({value} as {column.type}) as {quoted(column.name)}")
        if column.companion:
            parsed.append(
                f"case when {given_name(column)} is not null then {reading.is_date} end as {column.companion}"
            )
        parsed.append(given_name(column))
    adapted = _adapted(source, mapping, present, business_timezone)
    shifted = "*"
    if adapted:
        further = ["_extra", "_row_error", "_deleted", "_load_id", *beside, *map(given_name, present)]
        shifted = ", ".join(
            [
                f"{adapted[name]} as {quoted(name)}" if name in adapted else quoted(name)
                for name, _ in contract.typed_columns
            ]
            + further
        )
    steps = f"select {', '.join(taken)} from {relation}"
    for step in (quick, same, given):
        if step:
            steps = f"select *, {', '.join(step)} from ({steps})"
    typed = [quoted(name) for name, _ in contract.typed_columns]
    if mapping.hashed:
        typed[typed.index(quoted(mapping.hashed))] = f"{_row_hash(contract, mapping.hashed)} as {mapping.hashed}"
    return f"""
        select {", ".join(typed)}, _extra,
            {_error(contract, source, mapping, present, business_timezone)} as _error,
            {", ".join(["_load_id", "_deleted", *beside])}
        from (
            select {shifted} from (
                select {", ".join(parsed)} from ({steps})
            )
        )
    """


def _adapted(source: Source, mapping: Mapping, present: list[Column], business_timezone: str) -> dict[str, str]:
    """Columns that are read in another way by the settings, with the expression for each."""
    adapted = {}
    if source.ended_at_is_last_day:
        adapted["ended_at"] = f"cast({business_day('ended_at', business_timezone)} + 1 as timestamp)"
        adapted["ended_at_is_date"] = "case when ended_at is not null then true end"
    if source.shape == "snapshot":
        was_paid = "(status = 'cancelled' and ended_at is not null) or status = 'past_due'"
        adapted["status"] = f"case when {was_paid} then 'active' else status end"
    if mapping.given.get("refund_of") is not None:
        adapted["refund_of"] = "case when amount < 0 then refund_of end"
        if mapping.refunds_share_ids:
            of_content = "concat_ws(' ', cast(ordered_at as varchar), cast(amount as varchar))"
            own = f"order_id || ' refund ' || left(md5({of_content}), 12)"
            adapted["order_id"] = f"case when amount < 0 and refund_of is not null then {own} else order_id end"
    if source.minor_units:
        for column in present:
            if column.is_money:
                major = f"{quoted(column.name)} * {_minor_unit('currency')}"
                whole = f"cast({major} as {column.type})"
                exact = whole if source.round_amounts else f"case when {whole} = {major} then {whole} end"
                adapted[column.name] = exact
    return adapted


def _minor_unit(currency: str) -> str:
    """What the smallest unit of a currency is worth in it."""
    without = " ".join(f"when {literal(code)} then 1.000" for code in WITHOUT_DECIMALS)
    with_three = " ".join(f"when {literal(code)} then 0.001" for code in WITH_THREE_DECIMALS)
    return f"(case {currency} {without} {with_three} else 0.010 end)"


def business_day(column: str, business_timezone: str) -> str:
    """The business day of an instant column: a bare date as it stands, else the date in the business time zone."""
    local = f"cast(timezone({literal(business_timezone)}, timezone('UTC', {column})) as date)"
    return f"case when {column}_is_date then cast({column} as date) else {local} end"


def _deleted(mapping: Mapping) -> str:
    """Whether the source marks the row as gone: its column is true, or holds anything else than false."""
    if mapping.deleted is None:
        return "false"
    text = f"lower(trim(cast({mapping.deleted.expression} as varchar)))"
    return f"coalesce({text} <> '' and not {is_one_of(text, FALSE)}, false)"


def _extra(mapping: Mapping, whole_row: str | None) -> str:
    """What no contract column took, as the text of a JSON object without nulls; null if nothing is left."""
    if whole_row:
        taken = dict.fromkeys(column.name for column in mapping.given.values() if column and column.name)
        taken |= dict.fromkeys(mapping.read)
        rest = f"json_merge_patch({whole_row}, {literal(json.dumps(taken))})"
    elif mapping.extra:
        pairs = ", ".join(f"{literal(column.name)}, cast({column.expression} as varchar)" for column in mapping.extra)
        rest = f"json_object({pairs})"
    else:
        return "cast(null as varchar)"
    return f"nullif(cast(json_merge_patch('{{}}', {rest}) as varchar), '{{}}')"


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
        value, given = quoted(column.name), given_name(column)
        if column.required:
            good.append(f"{value} is not null")
        if column not in present:
            continue
        if column.required:
            reasons.append(f"case when {given} is null then '{column.name} is missing' end")
        if column.is_id:
            is_object = f"{given} is not null and {value} is null"
            if column.name == "refund_of":
                is_object += " and amount < 0"  # else it is none
            good.append(f"({is_object}) is not true")
            found = mapping.given[column.name]
            path = f"{found.name if found is not None and found.name else 'object'}.id"
            advice = f" is an object; name the id in it by its path ({column.name}: {path})"
            reasons.append(
                f"case when {is_object} then '{column.name}: ' || left({given}, 60) || {literal(advice)} end"
            )
        elif column.kind != "text":
            if not column.required:
                good.append(f"({given} is null or {value} is not null)")
            shown = f"'''' || left(cast({given} as varchar), 60) || ''''"
            unread = _unread(column, source, source_type(column, source, mapping), given)
            reasons.append(
                f"case when {given} is not null and {value} is null then '{column.name}: ' || {shown} || {unread} end"
            )
            if column.kind in ("instant", "version", "date"):
                outside = f"({value} < '{FIRST_INSTANT}' or {value} >= '{END_OF_INSTANTS}')"
                placeholder = "false"
                if column.kind != "version" and source.placeholder_dates != "accept":
                    day = f"left(cast({given} as varchar), 10)"
                    early = f"({value} < '{AFTER_PLACEHOLDERS}' or {value} >= '{END_OF_INSTANTS}')"
                    is_one = is_one_of(day, PLACEHOLDERS)
                    placeholder = f"case when {early} then {is_one} else false end"  # `and` would ask every row
                    good.append(f"({placeholder}) is not true")
                good.append(f"{outside} is not true")
                reasons.append(
                    f"""case when {placeholder}
                            then '{column.name}: ' || {shown} || ' is a placeholder and no date (placeholder_dates)'
                        when {outside} then '{column.name}: ' || {shown} || ' is outside the years 1900 to 2200' end"""
                )
    for rule in contract.rules:
        broken = _rule(rule.broken, business_timezone)
        good.append(f"({broken}) is not true")
        reasons.append(f"case when {broken} then {literal(rule.reason)} end")
    all_reasons = f"concat_ws('; ', {', '.join(reasons)})"
    return f"case when {' and '.join(good)} then null else coalesce(_row_error, {all_reasons}) end"


def _unread(column: Column, source: Source, kind: str, given: str) -> str:
    """An expression for what is wrong with a value that could not be read."""
    if column.kind == "decimal":
        return _no_number(column, source, f"cast({given} as varchar)")
    made = source.columns.get(column.name)
    if isinstance(made, Made) and made.format:
        return literal(f" is not a time of the form {' or '.join(made.format)}")
    if column.kind in ("instant", "version") and source.timezone is None:
        local = f"regexp_full_match({given}, '{DAY}{TIME}')" if kind == "VARCHAR" else str(kind != "DATE").lower()
        return (
            f"case when {local} then ' has no time zone, and the settings of the source give no timezone'"
            f" else {_no_instant(given)} end"
        )
    if column.kind in ("instant", "version"):
        return _no_instant(given)
    return literal(
        {
            "integer": " is not a whole number",
            "boolean": " is neither true nor false",
            "enum": f" is not one of: {', '.join(column.accept)}",
            "currency": " is not an ISO 4217 currency code (three letters)",
            "date": " is not a valid date (YYYY-MM-DD)",
        }[column.kind]
    )


def _no_number(column: Column, source: Source, given: str) -> str:
    """What is wrong with a text that is not a number as the contract wants it, and what would help, if anything."""
    point = re.escape(source.decimal)
    other = "," if source.decimal == "." else "."
    kinds = {
        f"[+-]?[0-9]*{point}[0-9]{{{column.scale + 1},}}": "it has more; round_amounts: true would round",
        f"[+-]?[0-9]{{{19 - column.scale},}}({point}[0-9]*)?": "it is too large",
        rf"[+-]?[0-9]{{1,3}}([,. '’ ][0-9]{{3}})+({point}[0-9]+)?": "it has separators between thousands",
        f"[+-]?[0-9]+{re.escape(other)}[0-9]{{1,2}}": f"the setting decimal of the source is {source.decimal!r}",
        r"\(.*\)": "it is in brackets; a negative number has a minus sign",
        "[+-]?[0-9.]+[eE][+-]?[0-9]+": "it has an exponent",
        r"[+-]?[\p{Sc}A-Za-z]+.?[0-9].*|.*[0-9].?[\p{Sc}A-Za-z]+": "it has a currency sign or letters",
    }
    is_none = f" is not a number with at most {column.scale} decimals"
    cases = " ".join(
        f"when regexp_full_match({given}, {literal(pattern)}) then {literal(f'{is_none} ({hint})')}"
        for pattern, hint in kinds.items()
    )
    return f"case {cases} else {literal(is_none)} end"


def _no_instant(given: str) -> str:
    """What is wrong with a text that is not a time as the contract wants it."""
    text = f"cast({given} as varchar)"
    hints = {
        "(19|20)[0-9]{6}": "it has no dashes",
        r"[0-9]{9,16}(\.[0-9]+)?": "it looks like a Unix timestamp",
        "[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}.*": "which comes first, day or month, is not known",
        f"{DAY}[T ][0-9]:.*": "the hour has one digit",
    }
    is_none = " is not a timestamp or date such as 2024-01-31 or 2024-01-31T12:00:00Z"
    cases = " ".join(
        f"when regexp_full_match({text}, {literal(pattern)}) then {literal(f'{is_none} ({hint})')}"
        for pattern, hint in hints.items()
    )
    return f"case {cases} else {literal(is_none)} end"


def _rule(broken: str, business_timezone: str) -> str:
    """Replace `{before:a,b}`: a lies before b; where one is a bare date and the other is not, by their days."""

    def before(match: re.Match[str]) -> str:
        first, second = match.group(1), match.group(2)
        days = f"{business_day(first, business_timezone)} < {business_day(second, business_timezone)}"
        return f"case when {first}_is_date = {second}_is_date then {first} < {second} else {days} end"

    return re.sub(r"\{before:(\w+),(\w+)\}", before, broken)
