"""From the columns that a file has to the columns of the contract: by name, as the source's settings say."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.archive import UnusableFileError
from retention_pipeline.ingest.file_columns import FileColumn, found_column
from retention_pipeline.ingest.made_columns import MissingColumns, made_column, read_by
from retention_pipeline.ingest.result import Drift
from retention_pipeline.ingest.schema import literal
from retention_pipeline.settings import Constant, DatabaseSource, DeleteColumn, Ids, Made, RowHash, Source

_TYPES_OF_KIND: dict[str, tuple[str, ...]] = {
    "instant": ("TIMESTAMP",),
    "version": ("TIMESTAMP",),
    "decimal": ("DECIMAL",),
    "integer": ("BIGINT",),
    "boolean": ("BOOLEAN",),
}


@dataclass(frozen=True)
class Mapping:
    """Where each contract column comes from (None: it is null), and what is left for `_extra`.

    `hashed` is the key column that is made from the row's content; `counts_equal_rows` says whether equal rows of one
    file stay apart. `read`: the columns of the file that made ones are made from.
    """

    given: dict[str, FileColumn | None]
    extra: list[FileColumn]
    hashed: str | None = None
    counts_equal_rows: bool = False
    deleted: FileColumn | None = None
    read: frozenset[str] = frozenset()

    @property
    def refunds_share_ids(self) -> bool:
        """Whether refunds are negative rows that bear the very id of their order."""
        refund_of, order_id = self.given.get("refund_of"), self.given.get("order_id")
        return None not in (refund_of, order_id) and refund_of == order_id

    def drift(self, columns_before: list[str] | None, optional_before: list[str] | None) -> Drift:
        """What differs from the load before (None: there is none, so what the contract does not know is new)."""
        added = [column.name for column in self.extra if column.name not in (columns_before or [])]
        missing = [
            name
            for name, source in self.given.items()
            if source is None and name != self.hashed and name in (optional_before or [])
        ]
        return Drift(tuple(added), tuple(missing))


class NotMappedError(UnusableFileError):
    """Columns of the contract, `missing`, are not among the columns that are `there`; others take those in `used`."""

    def __init__(self, message: str, *, missing: list[str], there: list[str], used: set[str]) -> None:
        super().__init__(message)
        self.missing, self.there, self.used = missing, there, used


def map_columns(contract: Contract, source: Source, columns: list[FileColumn]) -> Mapping:
    """Find every contract column in a file; raises UnusableFileError if a required one is missing, or one that the
    settings name."""
    in_file = {column.name: column for column in columns}
    used: set[str] = set()
    given: dict[str, FileColumn | None] = {}
    missing: list[str] = []
    unfound: list[str] = []
    needed: list[str] = []
    hashed, counts_equal_rows = None, False
    read: set[str] = set()
    twice: list[str] = []
    for column in contract.columns:
        named = named_in(source, column.name)
        mapped = column.name if named is None else named
        given[column.name] = None
        if isinstance(mapped, Constant):
            given[column.name] = FileColumn("", literal(mapped.text))
        elif isinstance(mapped, RowHash):
            hashed, counts_equal_rows = column.name, True
        elif isinstance(mapped, Made):
            used |= read_by(mapped, in_file)
            read |= read_by(mapped, in_file)
            try:
                given[column.name] = made_column(column, source, mapped, in_file)
            except MissingColumns as error:
                needed.append(column.name)
                (missing if column.required else unfound).append(f"{error} (for {column.name})")
        elif (found := found_column(mapped, in_file) if named is not None else in_file.get(mapped)) is not None:
            given[column.name] = found
            used.add(mapped)
            if found.is_repeated and named is None:
                twice.append(mapped)
        elif contract.row_hash_key == column.name and named is None:
            hashed = column.name
        elif column.required:
            needed.append(column.name)
            missing.append(column.name if mapped == column.name else f"{column.name} (from {mapped})")
        elif named is not None:
            needed.append(column.name)
            unfound.append(f"{mapped} (for {column.name})")
    deleted = None
    if isinstance(source, DatabaseSource) and isinstance(source.deletes, DeleteColumn):
        deleted = in_file.get(source.deletes.column)
        used.add(source.deletes.column)
        if deleted is None:
            missing.append(f"{source.deletes.column} (deletes)")
    if twice:
        names = f"the header names {', '.join(twice)} more than once"
        raise UnusableFileError(f"{names}: say in columns which is meant ({twice[0]}: {twice[0]}, or {twice[0]}_2)")
    if missing or unfound:
        said = [f"required columns are missing: {', '.join(missing)}"] if missing else []
        said += [f"columns that the settings name are missing: {', '.join(unfound)}"] if unfound else []
        raise NotMappedError(
            f"{'; '.join(said)}; the file has: {', '.join(in_file) or 'none'}",
            missing=needed,
            there=list(in_file),
            used=used,
        )
    extra = sorted((column for column in columns if column.name not in used), key=lambda column: column.name)
    return Mapping(given, extra, hashed, counts_equal_rows, deleted, frozenset(read))


def named_in(source: Source, column: str) -> str | Constant | RowHash | Made | None:
    """What the settings name for a contract column (None: nothing, so its own name is looked for)."""
    if column in source.columns:
        return source.columns[column]
    if column == "refund_of":
        return source.refund_of
    if column == "customer_id" and source.ids is not None:
        return source.ids.path
    return None


def fitting_types(contract: Contract, source: Source, mapping: Mapping, types: dict[str, str]) -> dict[str, str]:
    """Of the types that the sender of a file told those by which its columns can be read at once.

    A column must be of the same kind in the contract, wherever it goes; what `values` renames or `_extra` takes stays
    text.
    """
    fits: dict[str, list[bool]] = defaultdict(list)
    for column in contract.columns:
        given = mapping.given[column.name]
        if given is not None and given.name in types:
            is_kind = types[given.name].startswith(_TYPES_OF_KIND.get(column.kind, ()))
            fits[given.name].append(is_kind and column.name not in source.values and given.name not in mapping.read)
    return {name: types[name] for name, found in fits.items() if all(found)}


def mapping_fingerprint(contract: Contract, source: Source, business_timezone: str) -> str:
    """What decides how the rows of a source are read; when it changes, everything is read again.

    Behind a dash stands what decides the key alone: when that changes, no row of before can be known again.
    """
    relevant = source.model_dump(
        mode="json",
        include={
            "timezone",
            "columns",
            "values",
            "decimal",
            "round_amounts",
            "ended_at_is_last_day",
            "replace_by",
            "delimiter",
            "format",
            "table",
            "query",
            "folder",
            "cursor",
            "deletes",
            "ids",
            "minor_units",
            "shape",
            "placeholder_dates",
            "encoding",
            "skip_lines",
            "skip_after_header",
            "columns_in_order",
            "sheet",
            "delivery",
            "inputs",
            "where",
            "rows",
            "refund_of",
        },
    )
    if optional := getattr(source, "optional_columns", None):
        relevant["optional_columns"] = optional
    if (quotes := getattr(source, "quotes", "double")) != "double":
        relevant["quotes"] = quotes
    if source.shape == "snapshot":
        relevant["shape"] = "snapshot, past due is active"  # what was loaded before that is read again
    looks_at_days = source.ended_at_is_last_day or any("{before:" in rule.broken for rule in contract.rules)
    decisive = [contract.typed_columns, relevant, business_timezone if looks_at_days else None]
    by_key: list[Any] = [{name: relevant[part].get(name) for name in contract.key} for part in ("columns", "values")]
    if source.ids not in (None, Ids()) and any(contract.column(name).is_id for name in contract.key):
        by_key.append(relevant["ids"])
    return f"{_digest(decisive)}-{_digest(by_key)}"


def has_other_keys(fingerprint: str, before: str) -> bool:
    """Whether keys are made otherwise than `before`; not known of loads whose fingerprint does not tell."""
    _, _, key = fingerprint.partition("-")
    _, _, key_before = before.partition("-")
    return bool(key_before) and key != key_before


def _digest(decisive: list[Any]) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
