"""Texts of queries without the CTEs that they do not use, and with those that several use written once: a query is
planned as a whole, of a family's CTEs a part needs a few, and the parts of a family need the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

BEGINS = re.compile(r"\s*with\s", re.IGNORECASE)
NAME = re.compile(r'\s*("?\w+"?) as \(')
COMMA = re.compile(r"\s*,(?:\s*--[^\n]*)?")
# Brackets, and what may have some that are none.
TOKEN = re.compile(r"'(?:[^']|'')*'|/\*.*?\*/|--[^\n]*|[()]", re.DOTALL)


@lru_cache(maxsize=256)
def without_unused(query: str) -> str:
    """The query, with those of its leading CTEs alone that it reads, directly or through others. A name that stands
    anywhere counts as read.
    """
    found, select = _split(query)
    used, kept = _words(select), list[str]()
    for name, body in reversed(found):
        if name.strip('"') in used:
            used |= _words(body)
            kept.insert(0, f"{name} as ({body})")
    return f"with {', '.join(kept)}{select}" if kept else select


def union_of(queries: Iterable[tuple[str, Callable[[str], str]]]) -> str:
    """The union of queries, each with what is selected from it (a function of a relation). CTEs that say the same stand
    once; queries whose CTEs say different things under one name stand apart.
    """
    groups: list[tuple[dict[str, str], list[str]]] = []
    for query, select_from in queries:
        found, select = _split(query)
        ctes = dict(found)
        for known, selects in groups:
            if all(known.get(name, body) == body for name, body in ctes.items()) and (known.keys() & ctes.keys()):
                known.update(ctes)  # what a CTE reads is in its own query, so it is there before
                selects.append(select_from(select))
                break
        else:
            groups.append((ctes, [select_from(select)]))
    return " union all ".join(_grouped(*group) for group in groups)


def _grouped(ctes: dict[str, str], selects: list[str]) -> str:
    united = " union all ".join(selects)
    if not ctes:
        return united
    listed = ", ".join(f"{name} as ({body})" for name, body in ctes.items())
    return f"select * from (with {listed} {united})"


@lru_cache(maxsize=256)
def _split(query: str) -> tuple[list[tuple[str, str]], str]:
    """The leading CTEs (name, body) of a query, and what follows them."""
    begins = BEGINS.match(query)
    if begins is None:
        return [], query
    found, place = [], begins.end()
    while True:
        named = NAME.match(query, place)
        if named is None:
            return [], query  # another form: left as it is
        end = _end_of_bracket(query, named.end())
        found.append((named[1], query[named.end() : end]))
        comma = COMMA.match(query, end + 1)
        if comma is None:
            return found, query[end + 1 :]
        place = comma.end()


def _end_of_bracket(query: str, start: int) -> int:
    """Where the bracket ends that begins before `start`."""
    depth = 1
    for token in TOKEN.finditer(query, start):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return token.start()
    raise ValueError("a bracket is not closed")


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))
