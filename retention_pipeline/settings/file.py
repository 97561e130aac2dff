"""`settings.yaml`: its shape as a whole, how it is read, and how what is wrong with it is said.

An unknown key, a missing one or an impossible value is a line of `SettingsError` with the key's path, all of them at
once. Secrets are never written in the file: `{env: NAME}` names the variable.
"""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.contracts.grains import GRAINS, Grain
from retention_pipeline.settings.alerts import Alerts, alert_problems
from retention_pipeline.settings.business import Business, CohortMaxAge
from retention_pipeline.settings.engine import Spark
from retention_pipeline.settings.home import Home
from retention_pipeline.settings.kinds import Age, Cron, DaysFromZero, SettingsError, Share, Strict
from retention_pipeline.settings.sources import (
    DATABASES,
    AnySource,
    FromEnvironment,
    Ids,
    LakeSource,
    source_problems,
)

# What `segments: null` stands for, as far as their datasets are connected.
DEFAULT_DIMENSIONS = ("country", "acquisition_channel", "plan", "first_order_channel")


class PostgresTarget(Strict):
    """A schema of a PostgreSQL database that gets a copy of the published tables."""

    dsn: FromEnvironment
    schema_name: Annotated[str, Field(alias="schema", pattern="^[A-Za-z_][A-Za-z0-9_]{0,62}$")] = "retention"


BUILT_IN_DIMENSIONS = (*DEFAULT_DIMENSIONS, "engagement_group", "nps_class")
# Words that the engines keep for themselves.
_WORDS = """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create cross
    current_date current_timestamp default deferrable desc describe distinct do else end except false fetch for foreign
    from full group having in initially inner intersect into is join lambda lateral leading left like limit natural
    not null offset on only or order outer pivot placing primary qualify references returning right select show some
    summarize symmetric table then to trailing true union unique unpivot user using values variadic when where window
    with
"""
SQL_WORDS = frozenset(_WORDS.split())
SECRETS = {"dsn": "connection string", "url": "address", "webhook": "address", "remote": "address"}


# What someone should do for a customer, and the days of each unless the settings say otherwise (docs/kpis.md).
Action = Literal["ticket_reminder", "purchase_follow_up", "payment_failed", "renewal_due"]
ActionDays = Annotated[int, Field(ge=0, le=3_650)]
DEFAULT_ACTIONS: dict[Action, int] = {
    "ticket_reminder": 2,
    "purchase_follow_up": 7,
    "payment_failed": 0,
    "renewal_due": 30,
}


def _with_months(asked: list[Grain]) -> list[Grain]:
    """Each grain once, from the shortest to the longest."""
    if "month" not in asked:
        raise ValueError("month must be among them")
    return [grain for grain in GRAINS if grain in asked]


class Publish(Strict):
    """`guard_csv`: CSV files for people keep text from being taken for a formula (publish/csv_files.py)."""

    keep_generations: Annotated[int, Field(ge=1)] = 3
    guard_csv: bool = True
    postgres: PostgresTarget | None = None


class Report(Strict):
    """The report of the published generation. `title` None: the name of the home folder."""

    language: Literal["en", "nl"] = "en"
    title: str | None = None


class Keep(Strict):
    """What is kept of the past, beside generations. `runs`: records and logs of so many runs; `dagster_history`: so
    many runs in Dagster's web page, beside the marks of what was computed; `archive`: so long the copies of what was
    delivered, None: for ever, so that raw can always be rebuilt as a whole.
    """

    runs: Annotated[int, Field(ge=10)] = 400
    dagster_history: Annotated[int, Field(ge=10)] = 60
    archive: Age | None = None


class Privacy(Strict):
    """What is not kept of people. drop, pseudonymise: by source the columns that are never stored, and those whose
    values become keyed hashes at the door. export_customers: whether files made for others name customers (`retention
    export`, exports of alerts, `explain --csv`). report_customers: whether the report names those at risk.
    """

    key: FromEnvironment | None = None
    drop: dict[str, list[str]] = Field(default={})
    pseudonymise: dict[str, list[str]] = Field(default={})
    export_customers: bool = True
    report_customers: bool = False


class Schedule(Strict):
    cron: Cron = "0 2 * * *"


class Settings(Strict):
    """The content of `settings.yaml`. `segments` None means every dimension that has data. `grains`: periods that have
    figures; months always do, for alerts, goals and the report begin with them. `actions` are those that
    customer_actions lists. `close_after_days`: so long after its end a period is closed; None: never. `closed_periods`:
    whether a change in one is published and told, or held back. `exchange_from_rows`: with fewer rows in raw a night
    computes everything anew, which is quicker; 0: never. `engine`: what makes facts and period tables; `spark`:
    where it is. `readable_by`: who may read the files that runs make.
    """

    business: Business
    history_start: date | None = None
    segments: list[str] | None = None
    max_segment_values: Annotated[int, Field(ge=1, le=3_000_000)] = 50
    grains: Annotated[list[Grain], AfterValidator(_with_months)] = Field(default=list(GRAINS))
    cohort_max_age: CohortMaxAge = CohortMaxAge()
    actions: dict[Action, ActionDays] = Field(default=DEFAULT_ACTIONS)
    ids: Ids = Ids()
    sources: dict[str, AnySource] = Field(default={})
    publish: Publish = Publish()
    report: Report = Report()
    alerts: Alerts = Alerts()
    schedule: Schedule = Schedule()
    keep: Keep = Keep()
    privacy: Privacy = Privacy()
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark: Spark | None = None
    readable_by: Literal["owner", "group"] = "owner"
    close_after_days: DaysFromZero | None = None
    closed_periods: Literal["tell", "hold"] = "tell"
    max_quarantine_rate: Share = 0.05
    max_run_time: Age = timedelta(hours=24)
    exchange_from_rows: Annotated[int, Field(ge=0)] = 1_000_000

    def dataset_of(self, source: str) -> str:
        """The dataset that a source feeds: its `dataset`, else its own name."""
        return self.sources[source].dataset or source

    def read_source(self, name: str) -> AnySource:
        """A source as it is read: what it does not say of ids is what is said for all."""
        source = self.sources[name]
        return source if source.ids is not None else source.model_copy(update={"ids": self.ids})

    @property
    def connected_datasets(self) -> list[str]:
        """The datasets that have a source, in the order of the contracts."""
        connected = {self.dataset_of(source) for source in self.sources}
        return [dataset for dataset in CONTRACTS if dataset in connected]


class _EachKeyOnce(yaml.SafeLoader):
    """YAML whose mappings name no key twice: the last would count, and the first be lost without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for name, line in ((str(key.value), key.start_mark.line + 1) for key, _ in node.value):
            if name in lines:
                raise yaml.YAMLError(f"{name} is there twice, in lines {lines[name]} and {line}")
            lines[name] = line
        return node


def load_settings(home: Home) -> Settings:
    """Read `settings.yaml` of an environment; raises SettingsError that lists every problem with its key path."""
    if not home.settings_file.is_file():
        raise SettingsError(f"{home.settings_file} does not exist (make one with: retention init {home.root})")
    try:
        content = yaml.load(home.settings_file.read_text(encoding="utf-8"), Loader=_EachKeyOnce)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{home.settings_file} is not valid YAML: {error}") from error
    return parse_settings(content if content is not None else {})


def parse_settings(content: Any) -> Settings:
    """Settings from the parsed YAML; raises SettingsError that lists every problem with its key path."""
    if not isinstance(content, dict):
        raise SettingsError("settings: a mapping of keys is expected")
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        lines = [f"{_path(problem['loc'])}: {_message(problem)}" for problem in error.errors()]
        lines += _problems_of_the_others(content, {problem["loc"][0] for problem in error.errors() if problem["loc"]})
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None
    problems = _problems(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _problems_of_the_others(content: dict[str, Any], broken: set[int | str]) -> list[str]:
    """What else is wrong where some settings cannot be read; nothing where the others say little without them."""
    if broken & {"business", "sources", "segments", "max_segment_values"}:
        return []
    if "spark" in broken:
        broken = broken | {"engine"}
    try:
        return _problems(Settings.model_validate({key: content[key] for key in content if key not in broken}))
    except ValidationError:
        return []


def _problems(settings: Settings) -> list[str]:
    """What is wrong with settings that can be read, one by one."""
    problems = [
        line
        for name in settings.sources
        for line in source_problems(settings.dataset_of(name), name, settings.sources[name])
    ]
    problems += _segment_problems(settings)
    problems += _lake_problems(settings)
    if settings.ids.path is not None:
        problems.append("ids.path: belongs to one source (sources.<name>.ids.path)")
    problems += _privacy_problems(settings)
    problems += alert_problems(settings.alerts, settings.sources, settings.grains)
    if settings.engine == "spark" and settings.spark is None:
        problems.append("spark: is missing (remote: {env: NAME}, the variable that holds the address of a server)")
    return problems


def _privacy_problems(settings: Settings) -> list[str]:
    privacy = settings.privacy
    problems = [
        f"privacy.{key}.{name}: there is no source of this name"
        for key, named in (("drop", privacy.drop), ("pseudonymise", privacy.pseudonymise))
        for name in named
        if name not in settings.sources
    ]
    if privacy.pseudonymise and privacy.key is None:
        problems.append("privacy.key: is missing: {env: NAME}, the environment variable that holds a random text")
    return problems


def _lake_problems(settings: Settings) -> list[str]:
    """What a source that Spark reads in the lake cannot be together with."""
    lake = [name for name, source in settings.sources.items() if isinstance(source, LakeSource)]
    problems = []
    for name in lake:
        if settings.engine != "spark":
            problems.append(
                f"sources.{name}: a source in the lake is read by Spark alone: set engine: spark, or deliver its files"
                " (type: files)"
            )
        dataset = settings.dataset_of(name)
        others = [one for one in settings.sources if one != name and settings.dataset_of(one) == dataset]
        if others:
            problems.append(
                f"sources.{name}: {dataset} in the lake has no other source beside it ({', '.join(others)}): make one"
                " query of them, or a table"
            )
        if dataset == "customer_aliases":
            problems.append(f"sources.{name}: aliases are looked through for cycles here: deliver them as files")
        if settings.privacy.pseudonymise.get(name):
            problems.append(
                f"privacy.pseudonymise.{name}: rows of the lake do not come by here: read a view that holds the hashes"
            )
    return problems


def _segment_problems(settings: Settings) -> list[str]:
    return [*_names_of_segments(settings), *_number_of_segments(settings)]


def _names_of_segments(settings: Settings) -> list[str]:
    """A further column of customers becomes a column of models, so its name must be one in SQL as it stands."""
    asked = dict.fromkeys(settings.segments or ())
    impossible = [
        name for name in asked if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.lower() in SQL_WORDS
    ]
    problems = [
        f"segments: {name!r} cannot be the name of a column (letters, digits and underscores, no word of SQL):"
        " give the column another name in the file or query of customers"
        for name in impossible
    ]
    own = {column.name for column in CONTRACTS["customers"].columns} - set(DEFAULT_DIMENSIONS)
    problems += [
        f"segments: {name!r} is read for what it means and is no dimension: give the file or query of customers another"
        " column with the values to compare"
        for name in asked
        if name in own
    ]
    if "customers" not in settings.connected_datasets:
        unknown = [name for name in asked if name not in BUILT_IN_DIMENSIONS and name not in impossible]
        problems += [
            f"segments: there is no dimension {name!r} (there are {', '.join(BUILT_IN_DIMENSIONS)}), and no source of"
            " customers that could have such a column"
            for name in unknown
        ]
    return problems


def _number_of_segments(settings: Settings) -> list[str]:
    """A profile of segment values is one 64-bit number: (max_segment_values + 2) to the power of the dimensions."""
    dimensions = len(set(DEFAULT_DIMENSIONS if settings.segments is None else settings.segments))
    if (settings.max_segment_values + 2) ** dimensions < 2**63:
        return []
    most = next((n for n in range(settings.max_segment_values, 0, -1) if (n + 2) ** dimensions < 2**63), None)
    if most is None:
        return [f"segments: {dimensions} are too many"]
    return [f"max_segment_values: at most {most:,} with {dimensions} segments"]


def figure_settings(settings: Settings) -> dict[str, Any]:
    """The settings that move figures, as sorted JSON-able values: what the settings fingerprint is made from."""
    figures = {
        "business": settings.business.model_dump(mode="json"),
        "history_start": settings.history_start.isoformat() if settings.history_start else None,
        "segments": settings.segments,
        "max_segment_values": settings.max_segment_values,
        "cohort_max_age": settings.cohort_max_age.model_dump(mode="json"),
        "grains": settings.grains,
    }
    plain: dict[str, Any] = json.loads(json.dumps(figures, sort_keys=True))
    return plain


def _path(location: tuple[int | str, ...]) -> str:
    """`sources.orders.path` from pydantic's location, without the names of the variants that it tried."""
    variants = {
        "files",
        *DATABASES,
        "lake",
        "Constant",
        "RowHash",
        "Made",
        "FromEnvironment",
        "DeleteColumn",
        "Notify",
        "Export",
        "Webhook",
        "str",
        "list[str]",
    }
    is_variant = {index for index, part in enumerate(location) if part in variants and index >= 2}
    return ".".join(str(part) for index, part in enumerate(location) if index not in is_variant) or "settings"


def _message(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "union_tag_not_found":
        return f"type is missing (files, {', '.join(DATABASES)}, lake)"
    if problem["type"] == "union_tag_invalid":
        return f"type is files, {', '.join(DATABASES)}, lake (given: {problem['ctx']['tag']!r})"
    if held := [text for key, text in SECRETS.items() if key in problem["loc"]]:  # it may be a secret: never repeat it
        return f"write {{env: NAME}}, the environment variable that holds the {held[0]}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem["input"]
    if isinstance(given, bool) and "columns" in problem["loc"]:
        return "put the name in quotes: YAML takes yes, no, on, off, true and false for truth values"
    if any(sign in str(given) for sign in ("://", "dsn", "password")):  # it may hold a secret
        return message
    return f"{message} (given: {given!r})"
