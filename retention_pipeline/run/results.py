"""What the steps of a run return, and what a whole run returns: data for a terminal or for Dagster, nothing else."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from retention_pipeline.read.headline import Headline
from retention_pipeline.run.mode import Mode
from retention_pipeline.run.records import StepTiming
from retention_pipeline.transform import BuildResult


@dataclass(frozen=True)
class Built:
    """What the build step did: how, on top of which generation, and dbt's results."""

    mode: Mode
    generation: int
    dbt: BuildResult


@dataclass(frozen=True)
class Figures:
    """What the figures step did. changed_months: first days of the months in which a figure changed."""

    rows: int
    changed: int
    changed_months: list[date]


@dataclass(frozen=True)
class Published:
    """The new current generation."""

    generation: int
    path: Path
    row_counts: dict[str, int]


@dataclass(frozen=True)
class RunResult:
    """What a run did, for a terminal or for Dagster. loads: ingest's LoadResult per file or pull; problems: of the
    exports.
    """

    run_id: str
    as_of: date
    mode: Mode
    generation: int
    path: Path
    loads: list[Any]
    refused: list[Any]
    row_counts: dict[str, int]
    figures: Figures
    audited_rules: int
    exported: list[Path]
    problems: list[str]
    timings: list[StepTiming]
    headline: Headline | None
    peak_memory_mb: int
    build: BuildResult = field(repr=False)
