"""One dbt invocation in this process: models and data tests on `next.duckdb`; its outcome in words and numbers."""

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.errors import behind
from retention_pipeline.settings import Home, Settings
from retention_pipeline.testing import stopping_listeners
from retention_pipeline.transform import dbt_costs
from retention_pipeline.transform.arguments import (
    arguments_of_the_rest,
    arguments_without_rows,
    dbt_arguments,
    dbt_environment,
    dbt_vars,
)
from retention_pipeline.transform.engine import TEXTS
from retention_pipeline.transform.input_checks import check_aliases, check_rates
from retention_pipeline.transform.manifest import PROJECT, manifest_json, manifest_object, parsed_project
from retention_pipeline.transform.selection import absent_models, excluded_nodes, new_models
from retention_pipeline.warehouse import attach, create_database, drop_named, opened, sql_name, sql_text

NAMED_AT_MOST = 5
RESULTS_FILE = "run_results.json"
EXCLUDED = "excluded"  # the tag of what a run leaves out


@dataclass(frozen=True)
class NodeResult:
    """One dbt node. status: 'success', 'pass', 'warn', 'error', 'fail', 'skipped'. failures: rows that broke a test."""

    unique_id: str
    name: str
    kind: str
    status: str
    seconds: float
    message: str | None = None
    failures: int | None = None


@dataclass(frozen=True)
class BuildResult:
    """What dbt built: nodes in order of completion, rows per table of schema main."""

    nodes: list[NodeResult]
    row_counts: dict[str, int]
    variables: dict[str, Any] = field(repr=False)

    def count(self, kind: str) -> int:
        """How many nodes of a kind ('model', 'test', 'seed') were run."""
        return sum(node.kind == kind for node in self.nodes)


class BuildError(Exception):
    """dbt could not build; str() names each failing node and what it said. nodes: the results of all nodes, if any
    ran.
    """

    def __init__(self, message: str, nodes: list[NodeResult] | None = None) -> None:
        super().__init__(message)
        self.nodes = nodes or []


def build(
    home: Home,
    settings: Settings,
    *,
    as_of: date,
    full_refresh: bool,
    run_id: str,
    previous_as_of: date | None = None,
    applied_load_id: int = -1,
    previous_file: Path | None = None,
    backfill: tuple[date, date] | None = None,
    new_datasets: Iterable[str] = (),
    on_event: Callable[[Any], None] | None = None,
    project_dir: Path = PROJECT,
    generation: int = 1,
    kept_generations: Collection[int] = (),
    on_made: Callable[[str], None] | None = None,
) -> BuildResult:
    """Bring `next.duckdb` up to date from raw with dbt, tests included; where the settings say `engine: spark`, facts
    and period tables by way of Spark, in a schema of this `generation` beside those of `kept_generations`.

    Needs `next.duckdb` and `raw.duckdb`, open nowhere else in this process. `previous_file` is the generation that a
    night adds to; `new_datasets` were not connected when it was made. `on_event` gets dbt's own events (EventMsg) while
    it runs, `on_made` the name of each model that Spark has made. All connections are closed afterwards, come what may.
    Raises InputError (an alias cycle, a missing rate), BuildError and SparkError, all with a message for users.
    """
    check_aliases(home, timezone=settings.business.timezone, as_of=as_of)
    manifest = manifest_json(project_dir)
    absent = absent_models(manifest, settings.connected_datasets)
    variables = dbt_vars(
        settings,
        as_of=as_of,
        previous_as_of=previous_as_of,
        applied_load_id=applied_load_id,
        full_refresh=full_refresh,
        run_id=run_id,
        connected_datasets=settings.connected_datasets,
        backfill=backfill,
        absent_models=absent,
        new_models=new_models(
            manifest, settings.connected_datasets, set(settings.connected_datasets) - set(new_datasets)
        ),
    )
    target_path = home.runs / run_id / "dbt"
    arguments = dbt_arguments(
        project_dir,
        variables,
        target_path=target_path,
        log_path=target_path,
    )
    previous = previous_file.resolve() if previous_file else _empty_database(home)
    excluded = excluded_nodes(manifest, absent)
    made_elsewhere: list[NodeResult] = []
    with environment(dbt_environment(home, previous)):
        if settings.engine == "spark":
            from retention_pipeline.transform.spark.engine import build_on_spark

            not_made = {*excluded, *TEXTS, *(name for name, kind in _materialized(manifest) if kind == "view")}
            empty = _invoked(project_dir, arguments_without_rows(arguments), None, not_made)
            if not empty.success:
                raise BuildError(_explain(home, empty, _nodes(empty), _failed(_nodes(empty)), target_path / "dbt.log"))
            made_elsewhere = build_on_spark(
                home,
                settings,
                variables,
                generation=generation,
                kept=kept_generations,
                excluded=excluded,
                project_dir=project_dir,
                folder=target_path / "spark",
                say=on_made or (lambda name: None),
            )
            arguments = arguments_of_the_rest(arguments)
        excluded_now = [*excluded, *(node.name for node in made_elsewhere)]
        result = _invoked(project_dir, arguments, on_event, excluded_now)
    nodes = [*made_elsewhere, *_nodes(result)]
    if result.result is not None:
        result.result.write(str(target_path / RESULTS_FILE))
    failed = _failed(nodes)
    if result.exception is None:
        check_rates(home.next_file, as_of=as_of, reporting_currency=settings.business.reporting_currency)
    if failed or not result.success:
        raise BuildError(_explain(home, result, nodes, failed, target_path / "dbt.log"), nodes)
    drop_tables(home.next_file, absent)
    comment_on_tables(home.next_file, manifest)
    _keep_only(target_path, "dbt.log", "spark.log", RESULTS_FILE)
    return BuildResult(nodes, row_counts(home.next_file), variables)


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables and put back what was there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def close_connections() -> None:
    """Let go of the warehouse: dbt-duckdb keeps its connection, and with it the file's lock, until it is told."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    open_environment = DuckDBConnectionManager._ENV
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if open_environment is not None:
        with suppress(duckdb.Error):
            open_environment.close()


def drop_tables(warehouse_file: Path, names: Iterable[str]) -> None:
    """Drop these tables and views of schema main where they exist: those of a dataset that was connected before."""
    wanted = set(names)
    with opened(warehouse_file) as connection:
        drop_named(connection, wanted.__contains__)


def comment_on_tables(warehouse_file: Path, manifest: Mapping[str, Any]) -> None:
    """Give tables, views and columns of schema main the descriptions of their models, so that any client shows them."""
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    with opened(warehouse_file) as connection:
        relations = connection.execute(
            "select 'table', table_name from duckdb_tables() where schema_name = 'main' and not temporary "
            "union all select 'view', view_name from duckdb_views() where schema_name = 'main' and not internal"
        ).fetchall()
        columns = set(
            connection.execute(
                "select table_name, column_name from duckdb_columns() where schema_name = 'main' and not internal"
            ).fetchall()
        )
        connection.begin()
        for kind, name in relations:
            if name not in models:
                continue
            about = " ".join(models[name]["description"].split())
            connection.execute(f'comment on {kind} "{name}" is {sql_text(about)}')
            for column, declared in models[name]["columns"].items():
                if declared["description"] and (name, column) in columns:
                    words = sql_text(" ".join(declared["description"].split()))
                    connection.execute(f'comment on column "{name}"."{column}" is {words}')
        connection.commit()


def row_counts(warehouse_file: Path) -> dict[str, int]:
    """Rows per table of schema main."""
    with opened(warehouse_file, read_only=True) as connection:
        tables = connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'main' and not temporary order by table_name"
        ).fetchall()
        counts = [f"select {sql_text(table)}, count(*) from {sql_name(table)}" for (table,) in tables]
        return dict(connection.execute(" union all ".join(counts)).fetchall()) if counts else {}


def _keep_only(folder: Path, *names: str) -> None:
    """What stays of a build that went well, night after night: log and timings, not megabytes of SQL."""
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def invoke(
    project_dir: Path,
    arguments: list[str],
    on_event: Callable[[Any], None] | None = None,
    *,
    excluded: Collection[str] = (),
) -> Any:
    """dbt's result for a command line, in this process, with the parsed project. `excluded`: names of models and tests
    that are left out. The environment has the files; `close_connections` afterwards.
    """
    from dbt.cli.main import dbtRunner

    folder = parsed_project(project_dir)
    dbt_costs.install()
    dbt_costs.TEMPLATES.load(folder)
    manifest = manifest_object(project_dir)
    manifest.build_flat_graph()  # what macros know as `graph`; dbt makes it only where it parses
    # One tag: dbt compares each name after --exclude with every node, a second of a small home's run.
    left_out = frozenset(excluded)
    for node in manifest.nodes.values():
        if node.name in left_out:
            node.tags.append(EXCLUDED)
    arguments = [*arguments, "--exclude", f"tag:{EXCLUDED}"]
    callbacks = [*([on_event] if on_event else []), *stopping_listeners()]
    try:
        result = dbtRunner(manifest=manifest, callbacks=callbacks).invoke(arguments)
        if arguments[0] != "build" or not result.success:
            dbt_costs.write_texts()
    finally:
        dbt_costs.forget_texts()
    dbt_costs.TEMPLATES.keep(folder)
    return result


def _invoked(
    project_dir: Path, arguments: list[str], on_event: Callable[[Any], None] | None, excluded: Collection[str]
) -> Any:
    """`invoke`, with its connections closed and a signal raised again."""
    try:
        result = invoke(project_dir, arguments, on_event, excluded=excluded)
    finally:
        close_connections()
    interruption = _interruption(result.exception)
    if interruption is not None:
        raise interruption
    return result


def _materialized(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Models with how they are materialized."""
    models = (node for node in manifest["nodes"].values() if node["resource_type"] == "model")
    return [(node["name"], node["config"]["materialized"]) for node in models]


def _interruption(error: BaseException | None) -> BaseException | None:
    """Ctrl-C (or Dagster's form of it), which dbt hands back like an error, or buries under one of stopping."""
    return next((one for one in behind(error) if not isinstance(one, Exception)), None)


def _failed(nodes: Iterable[NodeResult]) -> list[NodeResult]:
    return [node for node in nodes if node.status in {"error", "fail", "runtime error"}]


def _nodes(result: Any) -> list[NodeResult]:
    results = getattr(result.result, "results", None) or []
    return [
        NodeResult(
            unique_id=one.node.unique_id,
            name=one.node.name,
            kind=str(one.node.resource_type.value),
            status=str(one.status.value),
            seconds=one.execution_time,
            message=one.message,
            failures=one.failures,
        )
        for one in results
    ]


def _explain(home: Home, result: Any, nodes: list[NodeResult], failed: list[NodeResult], log_file: Path) -> str:
    if not nodes:
        return f"dbt could not start: {_first_lines(str(result.exception or result.result))}\n  Log: {log_file}"
    skipped = sum(node.status == "skipped" for node in nodes)
    lines = [
        f"dbt: {len(failed)} of {len(nodes)} steps failed" + (f", {skipped} were skipped after them" if skipped else "")
    ]
    compiled = {one.node.unique_id: getattr(one.node, "compiled_code", None) for one in result.result.results}
    for node in failed[:NAMED_AT_MOST]:
        lines.append(f"  {node.kind} {node.name}: {_first_lines(node.message or 'no message')}")
        if node.kind == "test" and node.status == "fail":
            lines += [f"    {example}" for example in _example_rows(home, compiled.get(node.unique_id))]
    if len(failed) > NAMED_AT_MOST:
        lines.append(f"  and {len(failed) - NAMED_AT_MOST} more")
    return "\n".join([*lines, f"  Log: {log_file}"])


def _first_lines(message: str, count: int = 6) -> str:
    lines = [line.rstrip() for line in message.strip().splitlines() if line.strip()]
    return "\n    ".join(lines[:count])


def _example_rows(home: Home, sql: str | None, count: int = 3) -> list[str]:
    """Rows that broke a test, as `column=value` lines; none if they cannot be had."""
    if not sql:
        return []
    try:
        with opened(home.next_file) as connection:
            attach(connection, home.raw_file, "raw_store")
            cursor = connection.execute(f"select * from ({sql}) as broken limit {count}")
            names = [column[0] for column in cursor.description or []]
            rows = cursor.fetchall()
            if "customer_key" in names:
                position = names.index("customer_key")
                names = [*names, "customer_id"]
                rows = [(*row, _customer_id(connection, row[position])) for row in rows]
    except duckdb.Error:
        return []
    return [", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True)) for row in rows]


def _customer_id(connection: duckdb.DuckDBPyConnection, customer_key: int | None) -> str | None:
    found = connection.execute(
        "select customer_id from raw_store.raw.customer_keys where customer_key = ?", [customer_key]
    ).fetchone()
    return found[0] if found else None


def _empty_database(home: Home) -> Path:
    """What stands where there is no previous generation to read."""
    path = home.warehouse / "empty.duckdb"
    create_database(path)  # always: what lies there may be half of one
    return path
