"""What the steps of a run return: data for Dagster and for tests, nothing else."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from retention_pipeline.run.mode import Mode
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
