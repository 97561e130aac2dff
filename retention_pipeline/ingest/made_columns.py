"""Contract columns that are made from one or more columns of the same row (`settings.Made`), as expressions.

What they give is text, read and checked as if it stood in the file, so that a value which cannot be used refuses its
row and is shown.
"""

from __future__ import annotations

import re

from retention_pipeline.contracts import Column
from retention_pipeline.ingest.file_columns import FileColumn, found_column
from retention_pipeline.ingest.ids import clean_id, is_one_of
from retention_pipeline.ingest.schema import literal
from retention_pipeline.settings import Made, Source, has_time, tokens_of

ARITHMETIC, COMPARED = {"+", "-", "*", "/", "%"}, {"<", ">", "=", "<=", ">=", "<>", "!="}
OF_NUMBERS = {"abs", "ceil", "coalesce", "floor", "greatest", "least", "nullif", "round", "sign", "trunc"}
_WORDS = """
    and as between bigint boolean case cast date day days decimal double else end escape false hour hours ilike in
    integer interval is like month months not null or then timestamp true varchar when year years
"""
WORDS = frozenset(_WORDS.split())


class MissingColumns(Exception):
    """The file lacks columns that are needed; str() names them."""


def made_column(column: Column, source: Source, made: Made, in_file: dict[str, FileColumn]) -> FileColumn:
    """The expression for a contract column, over the columns of the file. Raises MissingColumns."""
    if made.expression is not None:
        text = _calculated(column, source, made.expression, in_file)
    else:
        names = made.first_of or [made.column or ""]
        found = [one for name in names if (one := found_column(name, in_file)) is not None]
        if not found:
            raise MissingColumns(" or ".join(names))
        texts = [_without_words_for_nothing(column, source, f"nullif(trim({one.text}), '')") for one in found]
        text = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
    if made.format:
        text = _iso(text, made.format)
    if made.lower:
        text = f"lower({text})"
    return FileColumn("", text)


def read_by(made: Made, in_file: dict[str, FileColumn]) -> set[str]:
    """The columns of the file that a made column reads."""
    if made.expression is not None:
        names = {_name(token) for token in tokens_of(made.expression)}
    else:
        names = set(made.first_of or [made.column or ""])
    return names & set(in_file)


def _without_words_for_nothing(column: Column, source: Source, text: str) -> str:
    """So that the next column is asked where this one says `null`, or a name that the settings take for nothing."""
    if column.is_id:
        text = clean_id(column, source, text)
    nothing = tuple(str(name) for name in source.values.get(column.name, {}).get("", []))
    return f"case when {is_one_of(text, nothing)} then null else {text} end" if nothing else text


def _calculated(column: Column, source: Source, expression: str, in_file: dict[str, FileColumn]) -> str:
    is_number = column.kind in ("decimal", "integer")
    tokens = tokens_of(expression)
    written, missing, read = [], [], []
    for place, token in enumerate(tokens):
        name = _name(token)
        found = found_column(name, in_file)
        is_called = tokens[place + 1 : place + 2] == ["("]
        if found is not None and not is_called:
            read.append((name, found))
            numeric = is_number and _counts(tokens, place)
            written.append(_number(found, source) if numeric else f"nullif(trim({found.text}), '')")
        elif token.startswith('"') or (token[0].isalpha() and not is_called and token.lower() not in WORDS):
            missing.append(name)
        else:
            written.append(token)
    if missing:
        raise MissingColumns(", ".join(dict.fromkeys(missing)))
    value = " ".join(written)
    if not is_number:
        return f"cast(({value}) as varchar)"
    number = f"cast(try(cast(({value}) as decimal(38, 10))) as varchar)"
    if source.decimal == ",":
        number = f"replace({number}, '.', ',')"
    if not read:
        return number
    texts = [f"nullif(trim({found.text}), '')" for _, found in read]
    shown = " || ', ' || ".join(
        f"{literal(f'{name} ')} || coalesce({text}, 'empty')" for (name, _), text in zip(read, texts, strict=True)
    )
    return f"coalesce({number}, case when coalesce({', '.join(texts)}) is not null then {shown} end)"


def _name(token: str) -> str:
    return token[1:-1].replace('""', '"') if token.startswith('"') else token


def _counts(tokens: list[str], place: int) -> bool:
    """Whether a column of a calculation is a number there: a result, beside a sign of arithmetic, or compared with a
    number."""

    def at(position: int) -> str:
        return tokens[position].lower() if 0 <= position < len(tokens) else ""

    before, after = at(place - 1), at(place + 1)
    if {before, after} & ARITHMETIC or before in ("then", "else") or len(tokens) == 1:
        return True
    if (before in COMPARED and _is_number(at(place - 2))) or (after in COMPARED and _is_number(at(place + 2))):
        return True
    return before == "(" and at(place - 2) in OF_NUMBERS


def _is_number(token: str) -> bool:
    return token[:1].isdigit() or token == "-"


def _number(found: FileColumn, source: Source) -> str:
    """A column as a number, null where it is none; text as strictly as an amount is read."""
    if found.type != "VARCHAR":
        return f"try_cast({found.expression} as decimal(28, 6))"
    text, point = f"trim({found.expression})", re.escape(source.decimal)
    pattern = rf"[+-]?([0-9]{{1,20}}({point}[0-9]{{0,6}}0*)?|{point}[0-9]{{1,6}}0*)"
    plain = f"replace({text}, ',', '.')" if source.decimal == "," else text
    return f"case when regexp_full_match({text}, {literal(pattern)}) then try_cast({plain} as decimal(28, 6)) end"


def _iso(text: str, forms: list[str]) -> str:
    """A time in one of some forms as ISO 8601; a text in none of them stays as it is."""
    return f"coalesce({', '.join([*(_in_form(text, form) for form in forms), text])})"


def _in_form(text: str, form: str) -> str:
    if form == "epoch":
        count = f"cast({text} as decimal(38, 6))"
        factor = f"case when abs({count}) >= 1e14 then 1 when abs({count}) >= 1e11 then 1000 else 1000000 end"
        instant = f"make_timestamp(cast({count} * {factor} as bigint))"
        is_count = rf"regexp_full_match({text}, '[+-]?[0-9]{{1,16}}(\.[0-9]{{1,6}})?')"
        return f"case when {is_count} then strftime({instant}, '%Y-%m-%dT%H:%M:%S.%fZ') end"
    has_zone = "%z" in form or "%Z" in form
    shown = "%Y-%m-%d" + ("T%H:%M:%S.%f" if has_time(form) else "") + ("Z" if has_zone else "")
    return f"strftime(try_strptime({text}, {literal(form)}), {literal(shown)})"
