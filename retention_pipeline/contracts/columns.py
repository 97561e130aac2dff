"""What a contract is made of: columns, rules between the columns of one row, and the dataset that they describe.

Declarations only. How a value is read from text belongs to `ingest/values.py`; which datasets exist, to the modules
beside this one, one per dataset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "enum", "currency", "decimal", "integer", "boolean", "instant", "date", "version"]

_TYPES = {
    "text": "varchar",
    "enum": "varchar",
    "currency": "varchar",
    "integer": "bigint",
    "boolean": "boolean",
    "instant": "timestamp",
    "date": "date",
    "version": "timestamp",
}


@dataclass(frozen=True)
class Column:
    """One column of a dataset.

    `instant` columns hold naive UTC and have a companion `<name>_is_date`: true where the source gave a bare date,
    which is a business day as it stands. `version` columns (`updated_at`) order the versions of a row and have none.
    `default` fills a null. `accept` lists the values of an enum. `is_money`: an amount of the row's `currency`.
    `may_be_open`: an instant that 31 December 9999 means to be without end.
    """

    name: str
    kind: Kind
    required: bool = False
    scale: int = 2
    accept: tuple[str, ...] = ()
    is_money: bool = False
    may_be_open: bool = False
    default: str | None = None

    @property
    def type(self) -> str:
        """The column's type in DuckDB."""
        return f"decimal(18,{self.scale})" if self.kind == "decimal" else _TYPES[self.kind]

    @property
    def is_id(self) -> bool:
        """Whether the column holds the name of a thing (a customer, an order): no words, no numbers to count with."""
        return self.kind == "text" and (self.name.endswith("_id") or self.name in ("referred_by", "refund_of"))

    @property
    def companion(self) -> str | None:
        """The name of the boolean column that tells bare dates from instants, if there is one."""
        return f"{self.name}_is_date" if self.kind == "instant" else None


@dataclass(frozen=True)
class Rule:
    """A row breaks the rule where `broken` (SQL over the typed columns of one row) is true; null counts as kept.

    `{day:column}` in the SQL stands for the business day of an instant column.
    """

    broken: str
    reason: str


@dataclass(frozen=True)
class Contract:
    """One dataset: what one row is, its columns, the key that names a row, and the rules within a row.

    `customer_columns` maps a column that holds a customer's id to the column for its integer key.
    `row_hash_key` names the key column that is made from the row's content where the source has none.
    `history_counts`: figures depend on versions that were replaced too, not on current rows alone.
    """

    dataset: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    customer_columns: dict[str, str] = field(default_factory=lambda: {"customer_id": "_customer_key"})
    row_hash_key: str | None = None
    history_counts: bool = False

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def key_columns(self) -> list[str]:
        """The columns of the raw table that name a row: the key, and of its instants whether they are bare dates.

        A bare date and an instant may be written with the same digits and are different moments.
        """
        columns = [self.column(name) for name in self.key]
        return [*self.key, *(column.companion for column in columns if column.companion)]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def version_column(self) -> str | None:
        """The column that orders versions, if the contract has one."""
        return next((column.name for column in self.columns if column.kind == "version"), None)

    @property
    def typed_columns(self) -> list[tuple[str, str]]:
        """(name, type) of the contract's columns with their companions, in the order of the raw table."""
        typed = []
        for column in self.columns:
            typed.append((column.name, column.type))
            if column.companion:
                typed.append((column.companion, "boolean"))
        return typed

    @property
    def raw_columns(self) -> list[tuple[str, str]]:
        """(name, type) of every column of `raw.<dataset>`."""
        bookkeeping = [("_extra", "varchar"), ("_load_id", "bigint"), ("_loaded_at", "timestamp")]
        return self.typed_columns + bookkeeping + [(key, "bigint") for key in self.customer_columns.values()]

    @property
    def history_columns(self) -> list[tuple[str, str]]:
        """(name, type) of every column of `raw.<dataset>_history`."""
        return [*self.raw_columns, ("_superseded_by", "bigint"), ("_superseded_at", "timestamp")]
