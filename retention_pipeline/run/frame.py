"""What every step of a run has around it: the parts that it is put together from, where it tells what it does, the
writer lock, its entry in the record, and the end of `next.duckdb` where it fails.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retention_pipeline.publish import generations
from retention_pipeline.run.damage import named_damage
from retention_pipeline.run.lock import writer_lock
from retention_pipeline.run.records import Run, recorded, start_run
from retention_pipeline.run.stopping import interrupted_queries
from retention_pipeline.settings import Home
from retention_pipeline.transform.manifest import PROJECT

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Assembly:
    """The parts of other packages that a run is put together from; a test swaps one by argument."""

    project_dir: Path = PROJECT
    ingest: Callable[..., Any] | None = None
    compute_kpis: Callable[..., Any] | None = None
    validate_kpis: Callable[..., list[Any]] | None = None


PRODUCTION = Assembly()


def validator(assembly: Assembly) -> Callable[..., list[Any]]:
    """The contract of the KPI rows."""
    if assembly.validate_kpis is not None:
        return assembly.validate_kpis
    from retention_pipeline.kpis import validate_kpis

    return validate_kpis


@contextmanager
def step_of(home: Home, run: Run, name: str, *, keeps_next: bool = False) -> Iterator[dict[str, Any]]:
    """The lock, the record, and on failure the end of `next.duckdb`."""
    with writer_lock(home):
        start_run(home, run)
        try:
            with recorded(home, run, name) as notes, named_damage(home), interrupted_queries():
                yield notes
        except BaseException:
            if not keeps_next:
                generations.discard(home)
            raise


def silent(_: str) -> None:
    """Say nothing."""
