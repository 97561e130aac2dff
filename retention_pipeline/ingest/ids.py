"""How the text of an id is read: without what spreadsheets put around it, and null where it is a word for nothing."""

from __future__ import annotations

import string

from retention_pipeline.contracts import Column
from retention_pipeline.ingest.schema import literal
from retention_pipeline.settings import Ids, Source

CUSTOMER_IDS = ("customer_id", "alias_id", "referred_by")
GUID = "^[{][0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}[}]$"
IN_FORMULA = r'^(="([^"]*)"|' + r"'(.*))$"


def is_one_of(text: str, values: tuple[str, ...]) -> str:
    """Whether a text is one of a few; DuckDB makes a join of an `in` with five of them, done for every row."""
    return f"(case {text} {' '.join(f'when {literal(value)} then true' for value in values)} else false end)"


def is_plain_id(column: Column, source: Source, text: str) -> str:
    """Whether an id can be taken as it stands. Comparing is cheap, so the first letter decides what else is asked: only
    a spreadsheet's `.0` is in doubt after digits, and words for nothing begin with one of few letters.
    """
    ids = source.ids or Ids()
    plain = f"strlen({text}) = length({text}) and {text} >= '!' and not suffix({text}, ' ')"
    words = tuple(word.lower() for word in ids.null_values)
    of_digits = [f"(not suffix({text}, '0') or not contains({text}, '.'))"] if ids.strip else []
    of_letters: list[str] = []
    of_others = [f"not starts_with({text}, '{{')", f"not starts_with({text}, '[')"]
    if ids.strip:
        of_others += [f"not starts_with({text}, '=')", f"not starts_with({text}, {literal(chr(39))})"]
    if words:
        longest = max(len(word) for word in words)
        of_others.append(f"(length({text}) > {longest} or not {is_one_of(f'lower({text})', words)})")
    if any(word[:1].isdigit() for word in words):
        of_digits.append(f"not {is_one_of(f'lower({text})', words)}")
    if _is_lowered(column, ids):
        for conditions in (of_digits, of_letters, of_others):
            conditions.append(f"lower({text}) = {text}")
    ranges = [f"{text} >= '{first}' and {text} < '{after}'" for first, after in _ranges_of_letters(words)]
    letters = f"when {' or '.join(ranges)} then {' and '.join(of_letters) or 'true'}" if ranges else ""
    return f"""{plain} and case when {text} >= '0' and {text} < ':' then {" and ".join(of_digits) or "true"} {letters}
        else {" and ".join(of_others)} end"""


def _ranges_of_letters(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Stretches of letters with which none of the words begins: (the first, the sign after the last)."""
    ranges: list[tuple[str, str]] = []
    for letter in string.ascii_lowercase + string.ascii_uppercase:
        if letter.lower() in {word[:1] for word in words}:
            continue
        after = chr(ord(letter) + 1)
        if ranges and ranges[-1][1] == letter:
            ranges[-1] = (ranges[-1][0], after)
        else:
            ranges.append((letter, after))
    return ranges


def clean_id(column: Column, source: Source, text: str) -> str:
    """An id without what a spreadsheet put around it; null where it is a word for nothing."""
    ids = source.ids or Ids()
    if ids.strip:
        unwrapped = rf"regexp_replace({text}, {literal(IN_FORMULA)}, '\2\3')"
        text = rf"regexp_replace(trim({unwrapped}), '^([0-9]+)[.]0+$', '\1')"
    if _is_lowered(column, ids):
        text = f"lower({text})"
    text = f"nullif({text}, '')"
    words = tuple(word.lower() for word in ids.null_values)
    return f"case when {is_one_of(f'lower({text})', words)} then null else {text} end" if words else text


def not_an_object(text: str) -> str:
    """An id, null where it is an object of JSON, which has an id somewhere in it. A GUID in braces is none."""
    is_plain = f"not starts_with({text}, '{{') and not starts_with({text}, '[')"
    return f"case when {is_plain} or regexp_matches({text}, {literal(GUID)}) then {text} end"


def _is_lowered(column: Column, ids: Ids) -> bool:
    return ids.lower and column.name in CUSTOMER_IDS
