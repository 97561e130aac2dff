"""What dbt is told: its vars, its command line and its environment, as pure functions of settings and the run.

Nothing is run here, so that what dbt is told is tested as data.
"""

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from retention_pipeline.settings import DEFAULT_DIMENSIONS, MEMORY_VARIABLE, Home, LakeSource, Settings, memory_limit

WAREHOUSE_VARIABLE = "RETENTION_WAREHOUSE_FILE"
RAW_VARIABLE = "RETENTION_RAW_FILE"
PREVIOUS_VARIABLE = "RETENTION_PREVIOUS_FILE"

# The dataset without which a dimension has no values.
DIMENSION_DATASETS = {
    "country": "customers",
    "acquisition_channel": "customers",
    "plan": "subscriptions",
    "first_order_channel": "orders",
    "engagement_group": "events",
    "nps_class": "surveys",
}

# Datasets of which the models of others know only a customer's first day (int_first_facts): where one is connected
# later, its models are built wholly, and the others' night stays a night.
OWN_MODELS = frozenset(
    {
        "events",
        "payments",
        "surveys",
        "emails",
        "tickets",
        "memberships",
        "acquisition_costs",
        "kpi_targets",
        "kpi_benchmarks",
    }
)

# Settings of the business that models are given; the others are read by KPI code alone.
BUSINESS_VARS = (
    "timezone",
    "reporting_currency",
    "week_start",
    "fiscal_year_start",
    "activity_window_days",
    "count_zero_value",
    "loyal_purchase_days",
    "count_past_due_days",
    "fx_max_age_days",
    "data_start",
    "cohort_event",
    "renewal_min_term_months",
    "renewal_grace_days",
    "churn_reason_classes",
    "mau_days",
    "active_events",
    "engagement_cuts",
    "payment_recovery_days",
    "email_window_days",
    "email_unit",
    "csat_positive",
)


def resolved_segments(segments: Iterable[str] | None, datasets: Iterable[str]) -> list[str]:
    """The segment dimensions of a run: those asked for (None: the defaults), without those whose dataset is not
    connected.

    A name that is not a built-in dimension is a further column of `customers`.
    """
    connected = set(datasets)
    asked = DEFAULT_DIMENSIONS if segments is None else tuple(dict.fromkeys(segments))
    return [name for name in asked if DIMENSION_DATASETS.get(name, "customers") in connected]


def dbt_vars(
    settings: Settings,
    *,
    as_of: date,
    previous_as_of: date | None,
    applied_load_id: int,
    full_refresh: bool,
    run_id: str,
    connected_datasets: Iterable[str],
    backfill: tuple[date, date] | None = None,
    absent_models: Iterable[str] = (),
    new_models: Iterable[str] = (),
) -> dict[str, Any]:
    """dbt's vars as JSON-able values: dates as YYYY-MM-DD, absent ones null.

    `absent_models` are not built (selection.py); whoever reads one of them reads no rows. `new_models` are not in the
    generation that a night starts from, and are built wholly.

    On a full refresh nothing of a previous generation is told: `night` is false, `applied_load_id` -1, `previous_as_of`
    null.
    """
    values = settings.model_dump(mode="json")
    return {
        "as_of": as_of.isoformat(),
        "previous_as_of": None if full_refresh or previous_as_of is None else previous_as_of.isoformat(),
        "applied_load_id": -1 if full_refresh else applied_load_id,
        "night": not full_refresh,
        "backfill": None
        if full_refresh or backfill is None
        else {"from": backfill[0].isoformat(), "to": backfill[1].isoformat()},
        "run_id": run_id,
        **kept_settings(settings, connected_datasets),
        "close_after_days": values["close_after_days"],
        "actions": dict(values["actions"]),
        "absent_models": sorted(absent_models),
        "new_models": [] if full_refresh else sorted(new_models),
    }


def kept_settings(settings: Settings, connected_datasets: Iterable[str]) -> dict[str, Any]:
    """The settings on which sums depend that a night takes over from the generation before, as JSON-able values.

    Of `close_after_days` and `actions` know only models that every run makes wholly. Datasets in the lake are among
    them: rows that raw never had cannot be taken over by a night.
    """
    values = settings.model_dump(mode="json")
    datasets = sorted(connected_datasets)
    lake = sorted(
        settings.dataset_of(name) for name, source in settings.sources.items() if isinstance(source, LakeSource)
    )
    return {
        **({"lake": lake} if lake else {}),
        **{name: values["business"][name] for name in BUSINESS_VARS},
        "history_start": values["history_start"],
        "cohort_max_age": dict(values["cohort_max_age"]),
        "datasets": datasets,
        "segments": resolved_segments(settings.segments, datasets),
        "max_segment_values": values["max_segment_values"],
        "grains": values["grains"],
    }


def dbt_arguments(
    project_dir: Path,
    variables: dict[str, Any],
    *,
    target_path: Path,
    log_path: Path,
) -> list[str]:
    """The command line of the one dbt invocation of a run: models, seeds and data tests, in order of dependence.

    dbt's unit tests check models against made-up rows; they belong to the test suite, not to a night. `--full-refresh`
    is not used: the var `night` says what a model does. dbt's manifest is not written again; of the results the
    build writes what is kept.
    """
    return [
        "build",
        "--project-dir",
        str(project_dir),
        "--profiles-dir",
        str(project_dir),
        "--target-path",
        str(target_path),
        "--log-path",
        str(log_path),
        "--vars",
        json.dumps(variables, sort_keys=True),
        "--exclude-resource-type",
        "unit_test",
        "--log-level",
        "none",
        "--log-level-file",
        "info",
        "--no-use-colors",
        "--no-use-colors-file",
        "--no-version-check",
        "--no-write-json",
        "--no-send-anonymous-usage-stats",
    ]


def arguments_without_rows(arguments: list[str]) -> list[str]:
    """The same command line for tables with their columns and types, but without rows, which come from elsewhere."""
    kind = arguments.index("--exclude-resource-type")
    return ["run", *arguments[1:kind], *arguments[kind + 2 :], "--empty"]


def arguments_of_the_rest(arguments: list[str]) -> list[str]:
    """The same command line where models are left out that were made elsewhere, but not the tests of them."""
    return [*arguments, "--indirect-selection", "empty"]


def dbt_environment(home: Home, previous_file: Path) -> dict[str, str]:
    """The files that profiles.yml names; without them dbt refuses to start."""
    return {
        WAREHOUSE_VARIABLE: str(home.next_file),
        RAW_VARIABLE: str(home.raw_file),
        PREVIOUS_VARIABLE: str(previous_file),
        MEMORY_VARIABLE: memory_limit(),
    }
