"""The steps after publication: copies for other tools, the report, alerts.

None of them withdraws what is published; what could not be done is told, kept in the run's record, and can be done
again.
"""

from pathlib import Path

import duckdb

from retention_pipeline import alerts
from retention_pipeline.errors import raise_interruption, told
from retention_pipeline.formatting import counted
from retention_pipeline.history.archive import write_missing
from retention_pipeline.publish import exports, generations
from retention_pipeline.publish.postgres import publish_to_postgres
from retention_pipeline.run.frame import Progress, silent, step_of
from retention_pipeline.run.records import Run, read_record
from retention_pipeline.settings import Home, Settings
from retention_pipeline.testing import stop_for_test
from retention_pipeline.warehouse import opened


def export_step(
    home: Home, settings: Settings, run: Run, *, progress: Progress | None = None
) -> tuple[list[Path], list[str]]:
    """Parquet copies of the published KPI and period tables. Returns (files, problems); a problem withdraws nothing."""
    with step_of(home, run, "exports", keeps_next=True) as notes:
        files, problems = exports.export_tables(home)
        problems += _archived_history(home)
        problems += publish_to_postgres(home, settings)
        problems += shown_on_spark(home, settings)
        notes.update(exported=len(files), export_problems=problems)
        for problem in problems:
            (progress or silent)(f"not exported: {problem}")
    stop_for_test("exports")
    return files, problems


def _archived_history(home: Home) -> list[str]:
    """Write the history's files that are missing; returns in words what could not be done."""
    try:
        write_missing(home)
    except (OSError, duckdb.Error) as error:
        return [f"archive/history: {told(error)}"]
    return []


def shown_on_spark(home: Home, settings: Settings) -> list[str]:
    """Let the views of a Spark that is the engine show the published generation; returns what could not be done."""
    current = generations.current_number(home)
    if settings.engine != "spark" or current is None:
        return []
    from retention_pipeline.transform.spark.engine import publish_on_spark
    from retention_pipeline.transform.spark.session import SparkError

    try:
        publish_on_spark(home, settings, current, [one.number for one in generations.generations(home)])
    except SparkError as error:
        return [str(error)]
    return []


def report_step(home: Home, settings: Settings, run: Run, *, progress: Progress | None = None) -> Path | None:
    """The report of what was just published; None where it could not be made, which is told and withdraws nothing."""
    from retention_pipeline.report.page import write_report

    path: Path | None = None
    with step_of(home, run, "report", keeps_next=True) as notes:
        try:
            path = write_report(home, settings)
        except Exception as error:  # whatever it is: the figures are published, and the report can be made again
            raise_interruption(error)
            problem = f"no report: {told(error)} (again with: retention report --home {home.root})"
            notes.update(report_problem=problem)
            (progress or silent)(problem)
        else:
            (progress or silent)(f"report: {path}")
    return path


def alerts_step(home: Home, settings: Settings, run: Run, *, progress: Progress | None = None) -> list[str]:
    """Do what alerts ask for, now that the figures are out. Returns what could not be done, which withdraws nothing and
    is tried again by the next run.
    """
    say = progress or silent
    with step_of(home, run, "alerts", keeps_next=True) as notes:
        problems = list(read_record(home, run).get("alert_problems") or [])
        try:
            number, not_done = alerts.after_publication(home, settings, texts=lambda: _sentences(home, settings))
            problems += not_done
            if number:
                say(f"alerts: {counted(number, 'alert')} told or carried out")
        except Exception as error:  # whatever it is: the figures are published
            raise_interruption(error)
            problems.append(told(error))
        for problem in problems:
            say(f"alerts: {problem}")
        notes.update(alert_problems=problems)
    return problems


def _sentences(home: Home, settings: Settings) -> list[str]:
    """The report's summary."""
    from retention_pipeline.report.summary import sentences

    with opened(home.current.resolve(), read_only=True) as connection:
        return sentences(connection, settings.business.reporting_currency)
