"""Every path, date, business setting and environment variable of one environment: typed, and read once.

`Home` names the files of an environment, `Settings` is its `settings.yaml`. Defaults and the meaning of settings that
move figures are in docs/kpis.md. An unknown key, a missing one or an impossible value is a line of `SettingsError`
with the key's path, all of them at once. Secrets are never written in the file: `{env: NAME}` names the variable.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from retention_pipeline.contracts import CONTRACTS

MEMORY_VARIABLE = "RETENTION_MEMORY_LIMIT"
LARGEST_MEMORY_LIMIT_GB = 8  # 100 million orders need no more; DuckDB spills to disk beyond it


def memory_limit() -> str:
    """What DuckDB may use, as it writes it ('6GB'): RETENTION_MEMORY_LIMIT of the environment, else half of the memory,
    at most LARGEST_MEMORY_LIMIT_GB.
    """
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**31
    return os.environ.get(MEMORY_VARIABLE) or f"{max(1, min(LARGEST_MEMORY_LIMIT_GB, gigabytes))}GB"


class SettingsError(Exception):
    """The settings cannot be used; the text lists every problem with its key path, one per line."""


@dataclass(frozen=True)
class Home:
    """The folder of one environment and the places in it."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / "settings.yaml"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def raw_file(self) -> Path:
        return self.warehouse / "raw.duckdb"

    @property
    def next_file(self) -> Path:
        return self.warehouse / "next.duckdb"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def current(self) -> Path:
        return self.published / "current.duckdb"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"


def resolve_home(home: str | Path | None) -> Home:
    """The environment to work in: the argument, else the variable RETENTION_HOME, else the current folder."""
    return Home(Path(home or os.environ.get("RETENTION_HOME") or ".").expanduser().resolve())


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no IANA time zone, such as Europe/Amsterdam")
    return name


def _currency_code(code: str) -> str:
    if len(code) != 3 or not code.isascii() or not code.isalpha() or code != code.upper():
        raise ValueError(f"{code!r} is no ISO 4217 code, such as EUR")
    return code


Timezone = Annotated[str, AfterValidator(_known_timezone)]
Currency = Annotated[str, AfterValidator(_currency_code)]
Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int, Field(ge=1)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Strict(BaseModel):
    """A part of the settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClvGates(Strict):
    """What the data must fulfil before a predicted lifetime value is given."""

    min_buyers: int = 500
    min_history_days: int = 180
    min_repeaters: int = 100
    max_correlation: float = 0.3


class Business(Strict):
    """Settings that move figures; what each means is listed in docs/kpis.md."""

    timezone: Timezone
    reporting_currency: Currency
    week_start: Weekday = "monday"
    fiscal_year_start: Annotated[int, Field(ge=1, le=12)] = 1
    activity_window_days: Days = 90
    count_zero_value: bool = False
    count_past_due_days: Annotated[int, Field(ge=0)] = 30
    fx_max_age_days: Annotated[int, Field(ge=0)] = 7
    data_start: date | None = None
    cohort_event: Literal["first_activity", "signup"] = "first_activity"
    renewal_min_term_months: Annotated[float, Field(ge=0)] = 2
    renewal_grace_days: Days = 30
    payment_recovery_days: Days = 30
    churn_reason_classes: dict[str, Literal["voluntary", "involuntary", "unknown"]] = {"payment_failed": "involuntary"}
    gross_margin: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_n: Annotated[int, Field(ge=0)] = 30
    mau_days: Days = 28
    active_events: list[str] | None = None
    engagement_cuts: Annotated[list[int], Field(min_length=3, max_length=3)] = [1, 4, 12]
    email_window_days: Days = 7
    csat_positive: dict[int, list[int]] = {5: [4, 5], 10: [9, 10], 4: [3, 4]}
    industry: str | None = None
    clv_gates: ClvGates = ClvGates()

    @field_validator("engagement_cuts")
    @classmethod
    def _cuts_rise(cls, cuts: list[int]) -> list[int]:
        if cuts != sorted(set(cuts)) or cuts[0] < 1:
            raise ValueError("the cuts must rise and start at 1 or more")
        return cuts


class CohortMaxAge(Strict):
    """The greatest age of a cohort that is shown, in periods of the grain."""

    week: Annotated[int, Field(ge=0)] = 104
    month: Annotated[int, Field(ge=0)] = 60
    quarter: Annotated[int, Field(ge=0)] = 20
    year: Annotated[int, Field(ge=0)] = 10


class Constant(Strict):
    """A contract column that has one value in every row of the source."""

    constant: str | int | float | bool | date

    @property
    def text(self) -> str:
        return str(self.constant).lower() if isinstance(self.constant, bool) else str(self.constant)


class RowHash(Strict):
    """A key column made from the row's content and its number among equal rows of the file, for sources without one.

    A file delivered twice, or a later export that holds the earlier rows too, changes nothing, and equal rows of one
    file stay apart. Equal rows that come in different files are taken for the same row.
    """

    row_hash: Literal[True]


class FromEnvironment(Strict):
    """A secret: the name of the environment variable that holds it."""

    env: str

    def read(self) -> str:
        value = os.environ.get(self.env)
        if not value:
            raise SettingsError(f"environment variable {self.env} is not set")
        return value


class Source(Strict):
    """What files and tables have in common: the dataset, the mapping of columns and values, and what is accepted.

    `round_amounts`: numbers with more decimals than the contract keeps are rounded, half away from zero, instead of
    being refused; for sources whose amounts are the result of a calculation.
    """

    dataset: str | None = None
    timezone: Timezone | None = None
    columns: dict[str, str | Constant | RowHash] = {}
    values: dict[str, dict[str, list[str | int | float | bool]]] = {}
    decimal: Literal[".", ","] = "."
    round_amounts: bool = False
    ended_at_is_last_day: bool = False
    replace_by: str | None = None
    max_quarantine_rate: Share | None = None

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


class FileSource(Source):
    """Files of a folder. They are loaded once each, in order of name."""

    type: Literal["files"]
    path: str | list[str]
    format: Literal["csv", "parquet", "jsonl"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    settle_seconds: Annotated[float, Field(ge=0)] = 0

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path


class DeleteColumn(Strict):
    """Rows are gone where this column of the source is true, or holds a date."""

    column: str


class PostgresSource(Source):
    """A table or a query of a PostgreSQL database; with a cursor only what changed since the last pull is read."""

    type: Literal["postgres"]
    dsn: FromEnvironment
    table: str | None = None
    query: str | None = None
    cursor: str | None = None
    overlap_hours: Annotated[float, Field(ge=0)] = 24
    deletes: Literal["ignore", "compare_keys"] | DeleteColumn = "ignore"

    @model_validator(mode="after")
    def _table_or_query(self) -> PostgresSource:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either table or query")
        return self


class Publish(Strict):
    keep_generations: Annotated[int, Field(ge=1)] = 3


class Schedule(Strict):
    cron: str = "0 2 * * *"


AnySource = Annotated[FileSource | PostgresSource, Field(discriminator="type")]


class Settings(Strict):
    """The content of `settings.yaml`. `segments` None means every dimension that has data."""

    business: Business
    history_start: date | None = None
    segments: list[str] | None = None
    max_segment_values: Annotated[int, Field(ge=1)] = 50
    cohort_max_age: CohortMaxAge = CohortMaxAge()
    sources: dict[str, AnySource] = {}
    publish: Publish = Publish()
    schedule: Schedule = Schedule()
    max_quarantine_rate: Share = 0.05

    def dataset_of(self, source: str) -> str:
        """The dataset that a source feeds: its `dataset`, else its own name."""
        return self.sources[source].dataset or source

    @property
    def connected_datasets(self) -> list[str]:
        """The datasets that have a source, in the order of the contracts."""
        connected = {self.dataset_of(source) for source in self.sources}
        return [dataset for dataset in CONTRACTS if dataset in connected]


def load_settings(home: Home) -> Settings:
    """Read `settings.yaml` of an environment; raises SettingsError that lists every problem with its key path."""
    if not home.settings_file.is_file():
        raise SettingsError(f"{home.settings_file} does not exist (make one with: retention init {home.root})")
    try:
        content = yaml.safe_load(home.settings_file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{home.settings_file} is no valid YAML: {error}") from error
    return parse_settings(content if content is not None else {})


def parse_settings(content: Any) -> Settings:
    """Settings from the parsed YAML; raises SettingsError that lists every problem with its key path."""
    if not isinstance(content, dict):
        raise SettingsError("settings: a mapping of keys is expected")
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        lines = [f"{_path(problem['loc'])}: {_message(problem)}" for problem in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None
    problems = [line for name in settings.sources for line in _source_problems(settings, name)]
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def figure_settings(settings: Settings) -> dict[str, Any]:
    """The settings that move figures, as sorted JSON-able values: what the settings fingerprint is made from."""
    figures = {
        "business": settings.business.model_dump(mode="json"),
        "history_start": settings.history_start.isoformat() if settings.history_start else None,
        "segments": settings.segments,
        "max_segment_values": settings.max_segment_values,
        "cohort_max_age": settings.cohort_max_age.model_dump(mode="json"),
    }
    return json.loads(json.dumps(figures, sort_keys=True))


def _path(location: tuple[int | str, ...]) -> str:
    """`sources.orders.path` from pydantic's location, without the names of the variants that it tried."""
    variants = {"files", "postgres", "Constant", "RowHash", "FromEnvironment", "DeleteColumn", "str", "list[str]"}
    is_variant = {index for index, part in enumerate(location) if part in variants and index >= 2}
    return ".".join(str(part) for index, part in enumerate(location) if index not in is_variant) or "settings"


def _message(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "union_tag_not_found":
        return "type is missing (files or postgres)"
    if "dsn" in problem["loc"]:  # what stands there may be a secret: never repeat it
        return "write {env: NAME}, the environment variable that holds the connection string"
    return problem["msg"].removeprefix("Value error, ") + f" (given: {problem['input']!r})"


def _source_problems(settings: Settings, name: str) -> list[str]:
    """What is wrong between a source's settings and the contract of its dataset."""
    source = settings.sources[name]
    dataset = settings.dataset_of(name)
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
    required = [column.name for column in contract.columns if column.required]
    if source.replace_by is not None and source.replace_by not in required:
        problems.append(f"sources.{name}.replace_by: {source.replace_by!r} is no required column of {dataset}")
    if source.ended_at_is_last_day and "ended_at" not in contract.names:
        problems.append(f"sources.{name}.ended_at_is_last_day: {dataset} has no column ended_at")
    return problems
