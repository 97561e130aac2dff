"""Where data come from: sources of files and of databases, and what does not fit their dataset's contract."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.settings.columns import Constant, Made, MappedColumn, RowHash, has_time
from retention_pipeline.settings.kinds import Age, SettingsError, Share, Strict, Timezone

NULL_WORDS = ("null", "none", "nan", r"\N", "-", "n/a", "#n/a", "undefined")


class Ids(Strict):
    """How ids are read: of customers, orders, subscriptions and so on.

    `lower`: letters' case of customers' ids says nothing, as in e-mail addresses. `strip`: what spreadsheets put around
    an id goes (`="42"`, `'42`, `42.0`). `null_values`: texts that mean that there is none, in any case of letters.
    `path`: where in an object the customer's id stands, such as `customer.id`.
    """

    lower: bool = False
    strip: bool = True
    null_values: tuple[str, ...] = NULL_WORDS
    path: str | None = None


class FromEnvironment(Strict):
    """A secret: the name of the environment variable that holds it."""

    env: Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]

    def read(self) -> str:
        value = os.environ.get(self.env)
        if not value:
            raise SettingsError(f"environment variable {self.env} is not set")
        return value


class Source(Strict):
    """What files and tables have in common: the dataset, the mapping of columns and values, and what is accepted.

    `round_amounts`: numbers with more decimals than the contract keeps are rounded, half away from zero, instead of
    being refused; for sources whose amounts are the result of a calculation.

    `refund_of`: where refunds come as negative rows, the column of theirs that names the order; or that of the order's
    own id, where they bear it too.

    `ids` goes before the block of this name for all sources. `minor_units`: amounts are in cents (of currencies that
    have none, or three decimals, in their smallest unit). `shape: snapshot`: one row per subscription as it is today,
    so that a cancelled one with an end was active until then, and one that is past due is active. `placeholder_dates`:
    what 1 January 1900, 1970 and their like are.

    `max_delete`: where a delivery holds the whole (`delivery: whole`, `inputs`, `deletes: compare_keys`), no more than
    this share of the source's rows may be gone at once.

    `max_age`: the longest time without a delivery or a pull; `max_shrink`: the share by which a delivery may be smaller
    than usual; `on_stale`: what follows where a source keeps one of them not, or cannot be loaded.
    """

    dataset: str | None = None
    timezone: Timezone | None = None
    columns: dict[str, MappedColumn] = Field(default={})
    values: dict[str, dict[str, list[str | int | float | bool]]] = Field(default={})
    decimal: Literal[".", ","] = "."
    round_amounts: bool = False
    ended_at_is_last_day: bool = False
    replace_by: str | None = None
    ids: Ids | None = None
    refund_of: MappedColumn | None = None
    minor_units: bool = False
    shape: Literal["phases", "snapshot"] = "phases"
    placeholder_dates: Literal["refuse", "empty", "accept"] = "refuse"
    max_quarantine_rate: Share | None = None
    max_delete: Share = 0.2
    max_age: Age | None = None
    max_shrink: Annotated[float, Field(ge=0, lt=1)] | None = None
    on_stale: Literal["warn", "block"] = "warn"

    @field_validator("values", mode="before")
    @classmethod
    def _lists_of_values(cls, values: Any) -> Any:
        """A single value may stand without its list; the key null or '' maps values to null."""
        if not isinstance(values, dict):
            return values
        return {
            column: {
                "" if target is None else target: given if isinstance(given, list) else [given]
                for target, given in mapping.items()
            }
            if isinstance(mapping, dict)
            else mapping
            for column, mapping in values.items()
        }


# Stores of objects in a cloud, and the packages that fsspec reads them with.
CLOUDS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}


class OnePer(Strict):
    """Several rows of a file as one: those that have the same value in `one_per`.

    The first of them is taken, in the order of the file; columns in `sum` are added up. `take` says that this is right
    for columns that differ among them.
    """

    one_per: Annotated[str | list[str], Field(min_length=1)]
    take: Literal["first"] | None = None
    sum: list[str] = Field(default=[])

    @property
    def keys(self) -> list[str]:
        return [self.one_per] if isinstance(self.one_per, str) else self.one_per


class FileSource(Source):
    """Files of a folder, or objects in a cloud. They are loaded once each, in order of name.

    `skip_lines`: so many lines stand before the header; `skip_after_header`: so many rows behind it are not data.
    `columns_in_order`: the file has no header, and these columns. `quotes: none`: in a CSV file a quote is a sign as
    any other.

    `query`: one SELECT over `rows`, the lines of a file, whose rows are loaded instead of the lines. `where`: of the
    lines those for which this holds. `rows`: which lines are one row. `optional_columns`: columns that these three may
    name though a file lacks them; they are empty then.

    `inputs`: further files that the query joins, by the name that it has for them; all of them and those of `path`
    together are one delivery, which holds the whole table.

    `settle_seconds`: files that changed within this time are left for the next run; not given: those alone whose last
    line has no end, for 60 seconds.

    `delivery: whole`: a file holds the whole table, so that rows that are not in the newest one are gone.

    `max_read_time`: the longest time that listing and fetching objects may take in a run.
    """

    type: Literal["files"]
    path: str | list[str]
    format: Literal["csv", "parquet", "jsonl", "xlsx"] | None = None
    delimiter: str = ","
    encoding: Literal["utf-8", "windows-1252", "latin-1", "utf-16"] = "utf-8"
    skip_lines: Annotated[int, Field(ge=0)] = 0
    skip_after_header: Annotated[int, Field(ge=0)] = 0
    columns_in_order: list[str] | None = None
    quotes: Literal["double", "none"] = "double"
    optional_columns: list[str] = Field(default=[])
    sheet: str | None = None
    settle_seconds: Annotated[float, Field(ge=0)] | None = None
    delivery: Literal["parts", "whole"] = "parts"
    query: str | None = None
    inputs: dict[str, str | list[str]] = Field(default={})
    where: str | None = None
    rows: OnePer | None = None
    max_read_time: Age = timedelta(hours=2)

    @field_validator("path")
    @classmethod
    def _places(cls, path: str | list[str]) -> str | list[str]:
        for one in [path] if isinstance(path, str) else path:
            scheme, is_address, rest = one.partition("://")
            if is_address and scheme not in CLOUDS:
                raise ValueError(f"a path is one of files, or begins with {', '.join(f'{name}://' for name in CLOUDS)}")
            if is_address and "@" in rest.partition("/")[0]:
                raise ValueError("credentials come from environment variables, never from a path")
        return path

    @field_validator("delimiter")
    @classmethod
    def _one_sign(cls, delimiter: str) -> str:
        if len(delimiter) != 1 and delimiter != "whitespace":
            raise ValueError("one sign, or whitespace")
        return delimiter

    @property
    def separator(self) -> str:
        """What parts the values of a line once the file is prepared."""
        return "\t" if self.delimiter == "whitespace" else self.delimiter

    @property
    def has_query(self) -> bool:
        return self.query is not None or self.where is not None or self.rows is not None

    @property
    def input_paths(self) -> dict[str, list[str]]:
        return {name: [paths] if isinstance(paths, str) else paths for name, paths in self.inputs.items()}

    @property
    def holds_whole(self) -> bool:
        """Whether a delivery is the whole table."""
        return self.delivery == "whole" or bool(self.inputs)

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path


class DeleteColumn(Strict):
    """Rows are gone where this column of the source is true, or holds a date."""

    column: str


class DatabaseSource(Source):
    """A table or a query of a database.

    `max_read_time`: the longest time that a pull may take, whatever the database does; then the source has failed.
    """

    table: str | None = None
    query: str | None = None
    max_read_time: Age = timedelta(hours=2)
    deletes: Literal["ignore", "compare_keys"] | DeleteColumn = "ignore"

    @model_validator(mode="after")
    def _one_place(self) -> DatabaseSource:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        return self


class ServerSource(DatabaseSource):
    """A table or a query of a database server; with a cursor only what changed since the last pull is read."""

    dsn: FromEnvironment
    cursor: str | None = None
    overlap_hours: Annotated[float, Field(ge=0, le=87_600)] = 24


class PostgresSource(ServerSource):
    """A table or a query of a PostgreSQL database."""

    type: Literal["postgres"]


class MysqlSource(ServerSource):
    """A table or a query of a MySQL or MariaDB database."""

    type: Literal["mysql"]


class DatabaseFileSource(DatabaseSource):
    """A table or a query of a DuckDB or SQLite file, which is read whole every night."""

    type: Literal["duckdb", "sqlite"]
    path: str


class LakeSource(DatabaseSource):
    """A table of the catalog, a folder of files or a query of the lake, which Spark reads whole where it stands.

    `format`: of the files of a folder. A query is Spark's SQL.
    """

    type: Literal["lake"]
    folder: str | None = None
    format: Literal["parquet", "delta"] = "parquet"

    @field_validator("table")
    @classmethod
    def _a_name(cls, table: str | None) -> str | None:
        if table is not None and not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+){0,2}", table):
            raise ValueError("the name of a table is expected, such as bronze.orders")
        return table

    @field_validator("folder")
    @classmethod
    def _a_folder(cls, folder: str | None) -> str | None:
        if folder is not None and "`" in folder:
            raise ValueError("a folder is expected, such as /mnt/lake/orders")
        if folder is not None and "@" in folder.partition("://")[2].partition("/")[0]:
            raise ValueError("credentials are the cluster's, never part of an address")
        return folder

    @model_validator(mode="after")
    def _one_place(self) -> LakeSource:
        if sum(given is not None for given in (self.table, self.folder, self.query)) != 1:
            raise ValueError("give one of table, folder and query")
        return self

    @property
    def place(self) -> str:
        """What it reads, as it is told."""
        return self.table or self.folder or "query"


DATABASES = ("postgres", "mysql", "duckdb", "sqlite")
AnySource = Annotated[
    FileSource | PostgresSource | MysqlSource | DatabaseFileSource | LakeSource,
    Field(discriminator="type"),
]


def source_problems(dataset: str, name: str, source: Source) -> list[str]:
    """What is wrong between the settings of the source `name` and the contract of its dataset."""
    if dataset not in CONTRACTS:
        return [f"sources.{name}: unknown dataset {dataset!r} (known: {', '.join(CONTRACTS)})"]
    contract = CONTRACTS[dataset]
    problems = [
        f"sources.{name}.{part}.{column}: {dataset} has no column of this name (it has: {', '.join(contract.names)})"
        for part, mapping in (("columns", source.columns), ("values", source.values))
        for column in mapping
        if column not in contract.names
    ]
    for column, targets in source.values.items():
        accept = contract.column(column).accept if column in contract.names else ()
        problems += [
            f"sources.{name}.values.{column}.{target}: unknown value (known: {', '.join(accept)})"
            for target in targets
            if accept and target and target not in accept
        ]
    for column, mapped in source.columns.items():
        if isinstance(mapped, RowHash) and contract.key != (column,):
            problems.append(f"sources.{name}.columns.{column}: row_hash can only make the key {contract.key}")
        if isinstance(mapped, Made) and mapped.format and column in contract.names:
            kind = contract.column(column).kind
            if kind not in ("instant", "date", "version"):
                problems.append(f"sources.{name}.columns.{column}.format: {column} is not a time")
            elif kind != "date" and source.timezone is None and any(_is_local(form) for form in mapped.format):
                problems.append(
                    f"sources.{name}.columns.{column}.format: has no time zone, so the source needs timezone"
                )
    is_made = (
        isinstance(mapped, RowHash | Made) for column, mapped in source.columns.items() if column in contract.key
    )
    has_made_key = any(is_made)
    if source.ids is not None and source.ids.path is not None:
        if "customer_id" not in contract.names:
            problems.append(f"sources.{name}.ids.path: {dataset} has no customer_id")
        elif "customer_id" in source.columns:
            problems.append(f"sources.{name}.ids.path: columns say already where customer_id is")
    if isinstance(source, DatabaseSource) and source.deletes == "compare_keys" and has_made_key:
        problems.append(f"sources.{name}.deletes: compare_keys needs a key that the source has, not one that is made")
    if isinstance(source, FileSource):
        problems += _file_problems(name, source)
    if isinstance(source, LakeSource) and source.replace_by is not None:
        problems.append(f"sources.{name}.replace_by: a table of the lake holds every value in full")
    required = [column.name for column in contract.columns if column.required]
    if source.replace_by is not None and source.replace_by not in required:
        problems.append(f"sources.{name}.replace_by: {source.replace_by!r} is not a required column of {dataset}")
    if source.max_shrink is not None and isinstance(source, ServerSource) and source.cursor is not None:
        problems.append(f"sources.{name}.max_shrink: with a cursor only what changed is read, so pulls differ in size")
    if source.minor_units and not any(column.is_money for column in contract.columns):
        problems.append(f"sources.{name}.minor_units: {dataset} has no amounts of money")
    if source.refund_of is not None and dataset != "orders":
        problems.append(f"sources.{name}.refund_of: only orders have refunds")
    if source.refund_of is not None and "refund_of" in source.columns:
        problems.append(f"sources.{name}.refund_of: stands in columns too; say it once")
    if isinstance(source.refund_of or source.columns.get("refund_of"), Constant | RowHash):
        problems.append(f"sources.{name}.refund_of: a column or what is made from columns names the order")
    if source.shape == "snapshot" and dataset != "subscriptions":
        problems.append(f"sources.{name}.shape: only subscriptions come as a snapshot")
    if source.ended_at_is_last_day and "ended_at" not in contract.names:
        problems.append(f"sources.{name}.ended_at_is_last_day: {dataset} has no column ended_at")
    return problems


def _file_problems(name: str, source: FileSource) -> list[str]:
    """What cannot be together in the settings of files."""
    problems = [
        f"sources.{name}.{short}: query says already which rows there are; write it there"
        for short in ("where", "rows")
        if source.query is not None and getattr(source, short) is not None
    ]
    of_lines = {"skip_lines": source.skip_lines, "skip_after_header": source.skip_after_header}
    of_lines["columns_in_order"] = len(source.columns_in_order or ())
    of_lines["quotes"] = source.quotes == "none"
    if source.format in ("parquet", "jsonl"):
        problems += [f"sources.{name}.{key}: {source.format} has no header" for key, given in of_lines.items() if given]
    if source.format == "parquet" and source.encoding != "utf-8":
        problems.append(f"sources.{name}.encoding: parquet is not text")
    if source.columns_in_order is not None:
        names = source.columns_in_order
        if not names or not all(names) or len(set(names)) < len(names):
            problems.append(f"sources.{name}.columns_in_order: a name for each column, none of them twice")
        if source.skip_after_header:
            problems.append(f"sources.{name}.skip_after_header: with columns_in_order there is no header")
    if source.optional_columns and not source.has_query:
        problems.append(f"sources.{name}.optional_columns: only of a source with query, where or rows")
    if source.inputs and source.query is None:
        problems.append(f"sources.{name}.inputs: only a query can join them")
    problems += [
        f"sources.{name}.inputs.{one}: a name of letters, digits and underscores is expected, other than rows"
        for one in source.inputs
        if not re.fullmatch("[a-z_][a-z0-9_]*", one) or one in ("rows", "lines")
    ]
    if source.holds_whole and source.replace_by is not None:
        problems.append(
            f"sources.{name}.replace_by: with delivery: whole, or inputs, a delivery holds every value in full"
        )
    if source.sheet is not None and source.format not in (None, "xlsx"):
        problems.append(f"sources.{name}.sheet: only xlsx has sheets")
    if source.rows is not None:
        problems += [
            f"sources.{name}.rows.sum: {one!r} tells the rows apart (one_per)"
            for one in source.rows.sum
            if one in source.rows.keys
        ]
    return problems


def _is_local(form: str) -> bool:
    return form != "epoch" and has_time(form) and "%z" not in form and "%Z" not in form
