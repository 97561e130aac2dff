"""The door: what is done to delivered bytes before anything keeps them. Columns that are never stored are dropped, ids
and columns that the settings name become keyed hashes, and whoever was forgotten is so again.

A file passes it before it is copied into the archive, so the archive, raw and all that follows hold only what came
through. The same bytes come out the same, whenever they come, so that a delivery is known by what came through. Lines
keep their numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.forgotten import check_key, keyed_hash, privacy_key, read_forgotten
from retention_pipeline.ingest.ids import CUSTOMER_IDS
from retention_pipeline.settings import (
    DatabaseSource,
    DeleteColumn,
    Home,
    Ids,
    Made,
    RowHash,
    Settings,
    Source,
    tokens_of,
)
from retention_pipeline.settings.sources import ServerSource

EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
_FORMULA = re.compile(r"^=\"([^\"]*)\"$|^'(.*)$")
_FLOAT = re.compile(r"^([0-9]+)[.]0+$")
SHORTEST_TEXT, SHORTEST_NUMBER = 5, 7


def clean(text: str, ids: Ids) -> str:
    """An id as raw has it (ids.py says the same in SQL)."""
    text = text.strip()
    if ids.strip:
        if found := _FORMULA.match(text):
            text = (found[1] or found[2] or "").strip()
        text = _FLOAT.sub(r"\1", text)
    return text.lower() if ids.lower else text


def is_telling(identifier: str) -> bool:
    """Whether an identifier is long enough to mean the person wherever it stands; `17` is also a number of items."""
    return len(identifier) >= (SHORTEST_NUMBER if identifier.isdigit() else SHORTEST_TEXT)


class Names:
    """What stands for what: identifiers of people and the random ones that take their place."""

    def __init__(self, pairs: dict[str, str]) -> None:
        self.pairs = pairs
        telling = sorted((one for one in pairs if is_telling(one)), key=len, reverse=True)
        self.lowered = {one.lower(): pairs[one] for one in telling}
        listed = "|".join(re.escape(one) for one in telling)
        self.pattern = re.compile(rf"(?<![\w])(?:{listed})(?![\w])", re.IGNORECASE) if telling else None

    def in_text(self, text: str) -> str:
        """A text with the telling ones replaced wherever they stand as words."""
        if self.pattern is None:
            return text
        return self.pattern.sub(lambda found: self.lowered[found[0].lower()], text)


@dataclass
class Door:
    """What one source's files go through. columns: those of the file that hold customers' ids (None: any may).

    forgotten: keyed hash of an id or address, and what stands in its place. names: the same in clear, known only while
    somebody is being forgotten. kept: columns of the file that a person's row keeps (None: all). emails: addresses seen
    in rows of people who were forgotten.
    """

    ids: Ids = field(default_factory=Ids)
    key: bytes = b""
    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    columns: frozenset[str] | None = None
    kept: frozenset[str] | None = None
    forgotten: dict[str, str] = field(default_factory=dict)
    names: Names | None = None
    emails: set[str] = field(default_factory=set)

    @property
    def is_shut(self) -> bool:
        return bool(self.dropped or self.hashed or self.forgotten)

    def _may_be_id(self, name: str, value: Any) -> bool:
        """Where it is not known which columns hold ids, a short one could be a number of items."""
        if self.columns is not None:
            return name in self.columns
        return value is not None and is_telling(clean(str(value), self.ids))

    def person(self, value: Any) -> str | None:
        """The random id in the place of a forgotten one; None for anybody else."""
        text = clean(str(value), self.ids)
        if not text or text.lower() in self.ids.null_values:
            return None
        return self.forgotten.get(keyed_hash(self.key, text))

    def pseudonym(self, value: Any) -> str:
        text = clean("" if value is None else str(value), self.ids)
        if not text or text.lower() in self.ids.null_values:
            return text
        made = f"p{keyed_hash(self.key, text)[:24]}"
        return self.forgotten.get(keyed_hash(self.key, made), made)

    def row(self, names: list[str], values: list[Any], empty: Any = "") -> list[Any]:
        """The values of a row as they come through, dropped columns included (the caller leaves those out)."""
        found = [
            self.person(value) if self._may_be_id(name, value) else None
            for name, value in zip(names, values, strict=True)
        ]
        is_person = any(found)
        if is_person:
            for value in values:
                if isinstance(value, str):
                    self.emails.update(EMAIL.findall(value))
        come: list[Any] = []
        for name, value, replacement in zip(names, values, found, strict=True):
            if name in self.dropped:
                come.append(empty)
            elif name in self.hashed:
                come.append(self.pseudonym(value))
            elif replacement is not None:
                come.append(replacement)
            elif is_person and self.kept is not None and name not in self.kept:
                come.append(empty)
            elif isinstance(value, str):
                come.append(self._in_text(value))
            else:
                come.append(value)
        return come

    def _in_text(self, text: str) -> str:
        if self.forgotten and "@" in text:
            text = EMAIL.sub(lambda found: self.person(found[0].lower()) or found[0], text)
        return self.names.in_text(text) if self.names else text

    def line(self, text: str) -> str:
        """A line that is no row."""
        if self.dropped or self.hashed:
            return "".join(sign for sign in text if sign in "\r\n")
        for word in set(re.split(r"[,;|\t\s\"]+", text)):
            replacement = self.person(word)
            if replacement is not None:
                text = text.replace(word, replacement)
        return self._in_text(text)


def door_of(home: Home, settings: Settings, name: str) -> Door:
    """The door of a source. Raises SettingsError where the key is needed and is not in the environment."""
    privacy = settings.privacy
    dropped = frozenset(privacy.drop.get(name, ()))
    hashed = frozenset(privacy.pseudonymise.get(name, ()))
    people = read_forgotten(home)
    if not hashed and not people:
        return Door(dropped=dropped)
    key = privacy_key(settings)
    check_key(home, key)
    source = settings.read_source(name)
    columns, kept = _columns_of(settings, name, source)
    return Door(source.ids or Ids(), key, dropped, hashed, columns, kept, people)


def _columns_of(settings: Settings, name: str, source: Source) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """(the columns of a source that hold customers' ids, those that the row of a forgotten one keeps). Where a query
    stands between the columns and the contract both cannot be told."""
    if getattr(source, "has_query", False) or getattr(source, "inputs", None):
        return None, None
    contract = CONTRACTS[settings.dataset_of(name)]
    used: dict[str, set[str]] = {}
    for column in contract.names:
        mapped = source.columns.get(column, column)
        if isinstance(mapped, str):
            used[column] = {mapped}
        elif isinstance(mapped, Made):
            tokens = {one.strip('"') for one in tokens_of(mapped.expression)} if mapped.expression else set()
            used[column] = tokens | set(mapped.first_of or [mapped.column or ""])
    if source.refund_of is not None:
        return None, None
    if source.ids is not None and source.ids.path is not None:
        used["customer_id"] = {source.ids.path}
    in_ids = frozenset(one for column in CUSTOMER_IDS for one in used.get(column, ()))
    kept = {one for names in used.values() for one in names} | set(settings.segments or ())
    kept |= {one.split(".")[0] for one in kept}
    if isinstance(source, DatabaseSource) and isinstance(source.deletes, DeleteColumn):
        kept.add(source.deletes.column)
    if isinstance(source, ServerSource) and source.cursor is not None:
        kept.add(source.cursor)
    made_of_content = contract.row_hash_key is not None and contract.row_hash_key not in source.columns
    made_of_content = made_of_content or any(isinstance(one, RowHash) for one in source.columns.values())
    return in_ids or None, None if made_of_content else frozenset(kept)
