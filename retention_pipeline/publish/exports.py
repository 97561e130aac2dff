"""Parquet copies of the published KPI and period tables, for tools that do not open DuckDB files.

Made after publication: a copy that fails is reported and made again by the next run, it never withdraws a generation.
A copy carries a mark of its content, so that a table with the same rows keeps its file.
"""

import hashlib
import os
from pathlib import Path

import duckdb

from retention_pipeline.errors import told
from retention_pipeline.settings import Home
from retention_pipeline.testing import stop_for_test
from retention_pipeline.warehouse import opened, sql_name, sql_text, tables_in

EXPORTED = (
    "retention_kpis",
    "kpi_definitions",
    "restatements",
    "cohort_retention",
    "periods",
    "lost_by_reason",
    "mrr_by_plan",
    "mrr_by_currency",
    "order_exclusions",
    "order_value_by_rank",
    "revenue_by_tenure",
    "survival_curves",
    "survival_left_out",
    "figure_marks",
    "data_quality",
    "pipeline_runs",
    "pipeline_state",
)
# Level 1 takes a fifth less time than the default and a fiftieth more room.
WRITTEN_AS = "compression zstd, compression_level 1"
MARK = "content_mark"
MANY_ROWS, FEW_TEXTS = 100_000, 64


def export_folder(home: Home) -> Path:
    """Where the copies are: one file per table, replaced by each run that finds other rows."""
    return home.published / "parquet"


def export_tables(home: Home) -> tuple[list[Path], list[str]]:
    """Copy the tables of the current generation; returns the files that are copies of it and, in words, what could not
    be copied.
    """
    files: list[Path] = []
    problems: list[str] = []
    try:
        folder = export_folder(home)
        folder.mkdir(parents=True, exist_ok=True)
        with opened(home.current, read_only=True) as connection:
            for table in exported_tables(connection):
                try:
                    files.append(_export(connection, table, folder))
                except (OSError, duckdb.Error) as error:
                    problems.append(f"{table}: {told(error)}")
            _remove_copies(folder, except_of=exported_tables(connection))
    except (OSError, duckdb.Error) as error:
        problems.append(told(error))
    return files, problems


def exported_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables that are copied: the named ones and every `period_*` that exist."""
    present = tables_in(connection)
    periods = sorted(name for name in present if name.startswith("period_"))
    return [name for name in EXPORTED if name in present] + periods


def _remove_copies(folder: Path, except_of: list[str]) -> None:
    """Remove copies of tables that the generation does not have: those of a dataset that was connected before."""
    for path in folder.glob("*.parquet"):
        is_ours = path.stem in EXPORTED or path.stem.startswith("period_")
        if is_ours and path.stem not in except_of:
            path.unlink()


def _export(connection: duckdb.DuckDBPyConnection, table: str, folder: Path) -> Path:
    path = folder / f"{table}.parquet"
    temporary = folder / f".{table}.parquet"
    mark = content_mark(connection, table)
    if _mark_of(connection, path) == mark:
        return path
    try:
        connection.execute(
            f"copy ({_rows(connection, table)}) to {sql_text(str(temporary))}"
            f" (format parquet, {WRITTEN_AS}, kv_metadata {{{MARK}: {sql_text(mark)}}})"
        )
        stop_for_test("exporting")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _rows(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """The rows of a table, for a copy. Of many rows, texts of few values are looked up in a list of these: DuckDB does
    so once for each value that a block of the file has, and then writes numbers instead of comparing each row's text,
    which was four fifths of the time. The copy has the same texts.
    """
    if connection.execute(f"select count(*) from {table}").fetchall()[0][0] < MANY_ROWS:
        return f"from {table}"
    described, listed = connection.table(table), []
    for name, kind in zip(described.columns, map(str, described.types), strict=True):
        column = sql_name(name)
        if kind == "VARCHAR":
            question = f"select distinct {column} from {table} where {column} is not null limit {FEW_TEXTS + 1}"
            found = sorted(connection.execute(question).fetchall())
            if 0 < len(found) <= FEW_TEXTS:
                values = ", ".join(sql_text(value) for (value,) in found)
                column = (
                    f"map_extract_value(map([{values}], cast([{values}] as enum({values})[])), {column}) as {column}"
                )
        listed.append(column)
    return f"select {', '.join(listed)} from {table}"


def content_mark(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Equal for equal rows, in whatever order, under equal columns, written in the same way."""
    described = connection.table(table)
    columns = list(zip(described.columns, map(str, described.types), strict=True))
    names = ", ".join(f'"{name}"' for name, _ in columns)
    rows = connection.execute(f"select count(*), sum(hash({names})) from {table}").fetchone()
    return hashlib.sha256(repr((duckdb.__version__, WRITTEN_AS, columns, rows)).encode()).hexdigest()


def _mark_of(connection: duckdb.DuckDBPyConnection, path: Path) -> str | None:
    """The mark in a copy; None where there is no copy, no mark, or no Parquet file."""
    if not path.exists():
        return None
    try:
        found = connection.execute(
            f"select decode(value) from parquet_kv_metadata({sql_text(str(path))}) where decode(key) = '{MARK}'"
        ).fetchone()
    except duckdb.Error:
        return None
    return found[0] if found else None
