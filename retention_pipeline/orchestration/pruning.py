"""Dagster's history of runs does not grow without bound: of old runs the events go, the marks of partitions stay.

Dagster itself prunes ticks only, and `delete_run` would take the materialisations with it, so that months looked as if
they had never been computed. Here the newest materialisation of each asset and partition stays, whatever its age, and
so does the newest result of each check. Only SQLite, the storage that a home has by default, is pruned; who configured
another storage looks after it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from retention_pipeline.settings import Home

if TYPE_CHECKING:
    from dagster import DagsterInstance

AT_ONCE = 500
# What says that a partition is there; other events are about how a run went.
MARKS = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")


def prune_history(instance: DagsterInstance, home: Home, keep: int) -> int:
    """Remove the oldest finished runs but `keep`, with their events and logs; returns how many."""
    import sqlalchemy as sa
    from dagster import DagsterRunStatus, RunsFilter
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return 0
    finished = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    runs = [one.run_id for one in instance.get_runs(RunsFilter(statuses=finished), limit=keep + AT_ONCE)]
    old = runs[keep:]
    if not old:
        return 0
    listed: Any = sa.bindparam("runs", expanding=True)
    with storage.index_connection() as connection:
        marks = ", ".join(f"'{one}'" for one in MARKS)
        newest = (
            f"select max(id) from event_logs where asset_key is not null and dagster_event_type in ({marks})"
            " group by asset_key, dagster_event_type, coalesce(partition, '')"
        )
        connection.execute(
            sa.text(f"delete from event_logs where run_id in :runs and id not in ({newest})").bindparams(listed),
            {"runs": old},
        )
        connection.execute(sa.text("delete from asset_event_tags where event_id not in (select id from event_logs)"))
        connection.execute(
            sa.text(
                "delete from asset_check_executions where run_id in :runs and id not in"
                " (select max(id) from asset_check_executions group by asset_key, check_name)"
            ).bindparams(listed),
            {"runs": old},
        )
    for run_id in old:
        instance.run_storage.delete_run(run_id)
        for path in (home.dagster / "history" / "runs").glob(f"{run_id}.db*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(home.dagster / "storage" / run_id, ignore_errors=True)
    _remove_unused_snapshots(instance)
    return len(old)


def _remove_unused_snapshots(instance: DagsterInstance) -> None:
    """Pictures of the job and its plan that no run of those that are left was made from."""
    import sqlalchemy as sa
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        return
    with storage.connect() as connection:
        connection.execute(sa.text("delete from run_tags where run_id not in (select run_id from runs)"))
        bodies = "\n".join(str(body) for (body,) in connection.execute(sa.text("select run_body from runs")))
        ids = [str(one) for (one,) in connection.execute(sa.text("select snapshot_id from snapshots"))]
        unused = [one for one in ids if one not in bodies]
        if unused:
            listed: Any = sa.bindparam("ids", expanding=True)
            connection.execute(
                sa.text("delete from snapshots where snapshot_id in :ids").bindparams(listed), {"ids": unused}
            )
