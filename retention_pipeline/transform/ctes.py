"""A query's text as its leading CTEs and what follows them. Nothing is parsed but what may hide a bracket."""

from __future__ import annotations

import re
from functools import lru_cache

# Blanks and comments.
BLANK = r"(?:\s|--[^\n]*\n|/\*[\s\S]*?\*/)*"
_BEGINS = re.compile(rf"{BLANK}with\s(?!\s*recursive\b)", re.IGNORECASE)
_NAME = re.compile(rf'{BLANK}("?\w+"?)\s+as\s*\(', re.IGNORECASE)
_COMMA = re.compile(rf"{BLANK},")
# Brackets, and what may have some that are none. A backslash escapes in a text of Spark's, not in one of DuckDB's.
_TOKENS = {
    "duckdb": re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|[()]", re.DOTALL),
    "spark": re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|--[^\n]*|/\*.*?\*/|[()]", re.DOTALL),
}


@lru_cache(maxsize=512)
def split_ctes(query: str, dialect: str = "duckdb") -> tuple[tuple[tuple[str, str], ...], str]:
    """The leading CTEs (name, body) of a query, and what follows them, as they are written. None, and the whole query,
    where it begins otherwise, or is recursive. Raises ValueError for a bracket that is not closed.
    """
    begins = _BEGINS.match(query)
    if begins is None:
        return (), query
    found, place = [], begins.end()
    while True:
        named = _NAME.match(query, place)
        if named is None:
            return (), query  # another form: left as it is
        end = _end_of_bracket(query, named.end(), _TOKENS[dialect])
        found.append((named[1], query[named.end() : end]))
        comma = _COMMA.match(query, end + 1)
        if comma is None:
            return tuple(found), query[end + 1 :]
        place = comma.end()


def _end_of_bracket(query: str, start: int, tokens: re.Pattern[str]) -> int:
    """Where the bracket ends that begins before `start`."""
    depth = 1
    for token in tokens.finditer(query, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return token.start()
    raise ValueError(f"a bracket is not closed: {query[start : start + 80]}")
