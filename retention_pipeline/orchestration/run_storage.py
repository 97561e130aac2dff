"""Dagster's runs on SQLite for a run in this process, with the place that the web page knows the job by.

A run of the command line belongs to no code location, and the page's timeline leaves such runs out. With the place of
`retention ui` and of the daemon they stand beside the scheduled ones. Only the names count; nothing is loaded by them.
"""

from __future__ import annotations

from typing import Any

from dagster import DagsterRun
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._serdes import ConfigurableClassData

LOCATION, REPOSITORY = "retention", "__repository__"
MODULE = "retention_pipeline.orchestration.definitions"


class PlacedRuns(SqliteRunStorage):
    """Gives every run that is added here its place. Overrides `add_run`; Dagster's version is pinned."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> PlacedRuns:
        return cls.from_local(inst_data=inst_data, **config_value)

    def add_run(self, dagster_run: DagsterRun) -> DagsterRun:
        place = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name=MODULE), LOCATION)
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(place, REPOSITORY), dagster_run.job_name)
        return super().add_run(dagster_run.with_job_origin(origin))
