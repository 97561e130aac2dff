"""Windows of compiled SQL that put rows in order, each with the query that says whether its order is unique."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

CLAUSES = ("group by", "having", "window", "order by", "union", "except", "qualify", "limit")


@dataclass(frozen=True)
class Window:
    """Rows of `partition` in the order of `keys` (expressions), and a query for keys that several rows share."""

    partition: str
    keys: tuple[str, ...]
    by_range: bool
    shared_keys: str

    @property
    def name(self) -> str:
        return f"{self.partition} | {', '.join(self.keys)}"


def windows(sql: str) -> Iterator[Window]:
    """Every window with an order, those of `window … as` too."""
    sql = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL)).strip()
    for found in re.finditer(r"\bover \(|\b\w+ as \((?= ?partition by )", sql):
        inside = sql[found.end() : _closing(sql, found.end())]
        partition, _, ordered = inside.partition("order by ")
        if not ordered:
            continue
        ordered, *frame = re.split(r" (?=rows |range )", ordered, maxsplit=1)
        keys = tuple(re.sub(r"( desc| asc)?( nulls (first|last))?$", "", key) for key in _split(ordered.strip()))
        partition = partition.replace("partition by ", "").strip()
        columns = ", ".join([*_split(partition), *keys] if partition else keys)
        yield Window(
            partition, keys, bool(frame) and frame[0].startswith("range"), _shared_keys(sql, found.start(), columns)
        )


def _shared_keys(sql: str, at: int, columns: str) -> str:
    """The rows that a window at this place sees, counted by its columns, behind every `with` that stands before it."""
    depths = _depths(sql)
    depth = depths[at]
    begins = next(
        found.start()
        for found in reversed([*re.finditer(r"\bselect\b", sql[:at])])
        if depths[found.start()] <= depth and min(depths[found.start() : at + 1]) == depths[found.start()]
    )
    query = f"select {columns}, count(*) {_source(sql, begins)} group by {columns} having count(*) > 1"
    # From the innermost bracket outwards: what a `with` names before the query that holds the place.
    opened = [0]
    for level in range(1, depths[begins] + 1):
        opened.append(max(i for i in range(begins) if sql[i] == "(" and depths[i] == level - 1) + 1)
    for level, start in reversed([*enumerate(opened)]):
        if sql[start:].lstrip().startswith("with "):
            first = sql.index("with ", start)
            names, selects = (
                [n.start() for n in re.finditer(word, sql) if n.start() >= first and depths[n.start()] == level]
                for word in (r"\w+ as \(", r"\bselect\b")
            )
            inside = [n for n in names if n < begins < _closing(sql, sql.index("(", n) + 1)]
            selects = [
                n.start() for n in re.finditer(r"\bselect\b", sql) if n.start() >= first and depths[n.start()] == level
            ]
            head = sql[first : inside[0] if inside else selects[0]].rstrip().rstrip(",")
            if head != "with":
                query = f"{head} select * from ({query}) as found"
    return query


def _depths(sql: str) -> list[int]:
    depths, depth, quoted = [], 0, False
    for letter in sql:
        quoted ^= letter == "'"
        depth -= letter == ")" and not quoted
        depths.append(depth)
        depth += letter == "(" and not quoted
    return depths


def _closing(sql: str, start: int) -> int:
    depths = _depths(sql[start:])
    return start + depths.index(-1)


def _split(text: str) -> list[str]:
    """At commas outside of brackets."""
    depths = _depths(text)
    cuts = [-1, *(at for at, letter in enumerate(text) if letter == "," and depths[at] == 0), len(text)]
    return [text[one + 1 : other].strip() for one, other in pairwise(cuts)]


def _source(sql: str, begins: int) -> str:
    """From the first `from` of a select until what is done to its rows."""
    depths = _depths(sql)
    depth = depths[begins]
    until = next((at for at in range(begins, len(sql)) if depths[at] < depth), len(sql))
    at_depth = [
        (found.start(), found.group())
        for found in re.finditer(rf"\b(from|{'|'.join(CLAUSES)})\b", sql[:until])
        if found.start() >= begins and depths[found.start()] == depth
    ]
    start = next(at for at, word in at_depth if word == "from")
    end = next((at for at, word in at_depth if at > start and word != "from"), until)
    return sql[start:end]
