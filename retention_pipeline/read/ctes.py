"""Texts of queries without the CTEs that they do not use, and with those that several use written once: a query is
planned as a whole, of a family's CTEs a part needs a few, and the parts of a family need the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from retention_pipeline.transform.ctes import split_ctes


@lru_cache(maxsize=256)
def without_unused(query: str) -> str:
    """The query, with those of its leading CTEs alone that it reads, directly or through others. A name that stands
    anywhere counts as read.
    """
    found, select = split_ctes(query)
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
        found, select = split_ctes(query)
        ctes = dict(found)
        for known, selects in groups:
            if all(known.get(name, body) == body for name, body in ctes.items()) and (known.keys() & ctes.keys()):
                known.update(ctes)  # what a CTE reads is in its own query, so it is there before
                selects.append(select_from(select))
                break
        else:
            groups.append((ctes, [select_from(select)]))
    return " union all by name ".join(_grouped(*group) for group in groups)


def _grouped(ctes: dict[str, str], selects: list[str]) -> str:
    united = " union all by name ".join(selects)
    if not ctes:
        return united
    listed = ", ".join(f"{name} as ({body})" for name, body in ctes.items())
    return f"select * from (with {listed} {united})"


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))
