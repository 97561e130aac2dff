"""The verbs that look after an environment: init, check, status, restore, rebuild, ui."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from retention_pipeline import formatting, templates
from retention_pipeline.cli.figures import print_json
from retention_pipeline.cli.print_status import print_status
from retention_pipeline.freshness.marks import published_reasons
from retention_pipeline.freshness.sources import states_now
from retention_pipeline.read import published
from retention_pipeline.settings import FileSource, Home, Settings, SettingsError, load_settings, resolve_home
from retention_pipeline.warehouse import DamagedFile

if TYPE_CHECKING:
    from retention_pipeline.ingest.preview import Preview

SHOWN_RUNS = 8
SHOWN_UNKNOWN = 5


class CheckFailed(Exception):
    """At least one check found something wrong; the text lists it."""


class UnknownTemplate(Exception):
    """A template was asked for that there is not."""


class AlreadyThere(Exception):
    """A folder that is to be made new has settings in it."""


def init(folder: Path, template: str | None = None) -> None:
    """A new environment: settings.yaml with every setting explained, or the template for an export."""
    from retention_pipeline.demo import settings_template

    home = Home(folder.expanduser().resolve())
    if home.settings_file.exists():
        raise AlreadyThere(f"{home.settings_file} is there already; nothing was changed")
    if template is not None and template not in templates.names():
        raise UnknownTemplate(f"there is no template {template!r}; there are: {', '.join(templates.names())}")
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text(settings_template() if template is None else templates.text(template), "utf-8")
    console = Console()
    console.print(Text.assemble("Made ", (str(home.settings_file), "bold"), ". Next:"))
    first = "say in it where your orders or subscriptions are, and how their columns are called;"
    if template is not None:
        is_database = "type: postgres" in templates.text(template)
        place = (
            "set the environment variable that it names" if is_database else f"put the export into {folder}/landing/"
        )
        first = f"{place}, and fill in what is marked FILL IN;"
    steps = [
        first,
        f"retention check --home {folder}    what is wrong or missing, all at once",
        f"retention run --home {folder}      the first figures, over the whole history",
    ]
    for number, step in enumerate(steps, start=1):
        console.print(Text(f"  {number}. {step}"))


def check(home: Path | None, *, as_json: bool) -> None:
    """Settings, sources, raw keys, and the audit of the published generation. Raises CheckFailed."""
    place = resolve_home(home)
    settings = load_settings(place)
    findings = [("settings", True, f"{place.settings_file} is fine")]
    findings += _check_sources(place, settings)
    findings += _check_segments(place, settings)
    findings += _check_rules(place, settings)
    if as_json:
        print_json([{"check": name, "ok": ok, "finding": text} for name, ok, text in findings])
    else:
        console = Console(highlight=False)
        for name, ok, text in findings:
            mark = ("✓", "green") if ok else ("✗", "red")
            console.print(Text.assemble(mark, f" {name:24} ", (text, "" if not ok else "dim")))
    if not all(ok for _, ok, _ in findings):
        if as_json:
            raise SystemExit(1)
        raise CheckFailed("\n".join(f"{name}: {text}" for name, ok, text in findings if not ok))


def status(home: Path | None, *, as_json: bool) -> None:
    """The published generation, its input, whether the sources are late now, who writes, and the last runs."""
    from retention_pipeline.run import operations

    place = resolve_home(home)
    settings = load_settings(place)
    found = operations.status(place, settings)
    now = datetime.now(UTC)
    is_whole = not found.problems
    states = states_now(place, settings, now) if is_whole else []
    answer: dict[str, Any] = {
        "home": str(place.root),
        "writer": found.writer,
        "published": vars(found.state) if found.state else None,
        "waiting_loads": found.waiting_loads,
        "raw_is_another": found.apart,
        "problems": found.problems,
        "generations": [
            {"generation": one.number, "current": one.is_current, "bytes": one.bytes} for one in found.kept
        ],
        "sources": None if states is None else [state.as_json() for state in states],
        "marked_because": [],
        "quality": [],
        "runs": found.runs[:SHOWN_RUNS],
    }
    if is_whole and place.current.exists():
        with published.open_published(place) as connection:
            answer["quality"] = published.rows_of(connection, "select * from data_quality")
            answer["marked_because"] = published_reasons(connection)
    if as_json:
        print_json(answer)
    else:
        print_status(Console(highlight=False), place, answer, now)
    if not is_whole:
        raise DamagedFile("\n".join(found.problems))


def restore(home: Path | None, generation: int | None, *, as_json: bool) -> None:
    """Make an earlier generation current, under the writer lock."""
    from retention_pipeline.run import operations

    place = resolve_home(home)
    chosen = operations.restore(place, generation)
    with published.open_published(place) as connection:
        state = published.state(connection)
    if as_json:
        print_json({"generation": chosen.number, "as_of": state["as_of"], "path": str(chosen.path)})
        return
    console = Console(highlight=False)
    console.print(
        f"Generation {chosen.number} is current again: figures as of {state['as_of']}, built {state['built_at']} UTC."
    )
    console.print("Raw data are as they were; the next run starts from this generation and catches up.", style="dim")


def rebuild(home: Path | None, *, without_missing: bool, as_json: bool) -> None:
    """raw.duckdb anew from the archive, and what could not be loaded again."""
    from retention_pipeline.run import operations

    place = resolve_home(home)
    console = Console(stderr=True, highlight=False)
    made = operations.rebuild(
        place,
        load_settings(place),
        without_missing=without_missing,
        progress=lambda text: console.print(text, style="dim", soft_wrap=True),
    )
    loaded = [load for load in made.loads if load.status == "loaded"]
    not_loaded = [f"{load.file_name}: {load.error}" for load in made.loads if load.error is not None]
    answer = {
        "loads": len(loaded),
        "rows": sum(load.good for load in loaded),
        "not_loaded": not_loaded,
        "left_out": made.left_out,
        "archived_but_unknown": [str(path) for path in made.unknown],
        "former_raw": str(made.replaced) if made.replaced else None,
    }
    if as_json:
        print_json(answer)
        return
    console = Console(highlight=False)
    lines = [
        f"{place.raw_file} holds {formatting.counted(len(loaded), 'load')} again,"
        f" {formatting.counted(sum(load.good for load in loaded), 'row')} in them.",
        *(f"  refused, as before: {line}" for line in not_loaded),
        *(f"  left out: {line}" for line in made.left_out),
        *(f"  in the archive, but in no ledger: {path}" for path in made.unknown[:SHOWN_UNKNOWN]),
    ]
    if made.unknown:
        number = formatting.counted(len(made.unknown), "archived file")
        lines.append(f"  ({number} that no ledger names; to load one, copy it into the landing folder of its source)")
    if made.replaced:
        lines.append(f"The former file is {made.replaced}; nothing needs it any more.")
    lines.append(f"The next run is a full refresh from it: retention run --home {place.root}")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def ui(home: Path | None, *, host: str, port: int) -> None:
    """Start `dagster dev` in place of this process, on the home's own storage."""
    from retention_pipeline.orchestration.instance import end_dead_runs, open_instance

    place = resolve_home(home)
    load_settings(place)
    with open_instance(place) as instance:
        end_dead_runs(instance)
    console = Console(stderr=True, highlight=False)
    console.print(
        f"Dagster for {place.root}: http://{host}:{port} in about 15 seconds; Ctrl-C stops it and the schedule."
    )
    environment = os.environ | {"RETENTION_HOME": str(place.root), "DAGSTER_HOME": str(place.dagster)}
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", host, "-p", str(port)]
    os.chdir(place.dagster)
    os.execve(sys.executable, command, environment)


def _check_sources(home: Home, settings: Settings) -> list[tuple[str, bool, str]]:
    """What the newest file of each source would become, and whether databases answer and have the columns."""
    from retention_pipeline.contracts import CONTRACTS
    from retention_pipeline.ingest.archive import UnusableFileError
    from retention_pipeline.ingest.landing import delivered_files
    from retention_pipeline.ingest.mapping import FileColumn, map_columns
    from retention_pipeline.ingest.postgres import SourceError, open_pull
    from retention_pipeline.ingest.preview import preview_file

    if not settings.sources:
        return [("sources", False, "none: say in settings.yaml where orders or subscriptions are")]
    findings = []
    for name, source in settings.sources.items():
        if isinstance(source, FileSource):
            files = delivered_files(home, source)
            if not files:
                findings.append((f"source {name}", False, f"no file matches {', '.join(source.paths)}"))
                continue
            problems = [file for file in files if file.problem]
            findings += [(f"source {name}", False, f"{file.name}: {file.problem}") for file in problems[:3]]
            usable = [file for file in files if not file.problem]
            if usable:
                preview = preview_file(settings, name, max(usable, key=lambda file: file.changed_at))
                findings.append((f"source {name}", preview.would_load, _previewed(preview, len(files))))
        else:
            try:
                contract = CONTRACTS[settings.dataset_of(name)]
                with open_pull(source) as pull:
                    map_columns(contract, source, [FileColumn(column, "") for column in pull.columns()])
                findings.append((f"source {name}", True, f"PostgreSQL answers, credentials from {source.dsn.env}"))
            except (SettingsError, SourceError, UnusableFileError) as error:
                findings.append((f"source {name}", False, str(error)))
    return findings


def _check_segments(home: Home, settings: Settings) -> list[tuple[str, bool, str]]:
    """Whether the further columns of customers that are asked for as dimensions are there: in what is loaded, before
    the first load in the newest file of each source.
    """
    from retention_pipeline.settings import BUILT_IN_DIMENSIONS
    from retention_pipeline.transform.delivered_segments import empty_segments

    if home.raw_file.exists():
        return [
            (f"segment {name}", False, "no row has a value of it; runs leave it out")
            for name in (empty_segments(home, settings) if settings.segments else ())
        ]
    found: set[str] = set()
    for name, source in settings.sources.items():
        if settings.dataset_of(name) == "customers":
            columns = _newest_columns(home, source) if isinstance(source, FileSource) else None
            if columns is None:
                return []
            found |= columns
    return [
        (f"segment {name}", False, f"no file of customers has a column {name} (there are {', '.join(sorted(found))})")
        for name in settings.segments or ()
        if name not in BUILT_IN_DIMENSIONS and found and name not in found
    ]


def _newest_columns(home: Home, source: FileSource) -> set[str] | None:
    """The columns of a source's last file by name; None where they cannot be told."""
    import duckdb

    from retention_pipeline.ingest.landing import delivered_files, format_of
    from retention_pipeline.warehouse import sql_text

    files = delivered_files(home, source)
    if not files:
        return set()
    path = sql_text(str(files[-1].path))
    readers = {
        "csv": f"read_csv({path}, header = true, all_varchar = true, delim = {sql_text(source.delimiter)})",
        "parquet": f"read_parquet({path})",
        "jsonl": f"read_json({path}, format = 'newline_delimited')",
    }
    try:
        with duckdb.connect() as connection:
            described = connection.execute(f"describe from {readers[format_of(files[-1].path, source) or 'csv']}")
            return {row[0] for row in described.fetchall()}
    except duckdb.Error:
        return None


def _previewed(preview: Preview, files: int) -> str:
    """What the beginning of the newest file says, a line each."""
    lines = [f"{formatting.counted(files, 'file')}, the newest is {preview.file_name}"]
    if preview.error is not None:
        lines.append(f"it would be refused: {preview.error}")
    else:
        read = f"of its first {formatting.counted(preview.good + preview.bad, 'row')} {preview.bad:,} would be refused"
        lines.append(read if preview.bad else f"its first {formatting.counted(preview.good, 'row')} would load")
        lines += [f"{formatting.counted(number, 'row')}: {reason}" for reason, number in preview.reasons]
        lines += [", ".join(f"{column} {value}" for column, value in row.items()) for row in preview.rows]
        if preview.unused:
            lines.append(f"columns that no setting uses: {', '.join(preview.unused)}")
    lines += [f"hint: {hint}" for hint in preview.hints]
    return "\n    ".join(lines)


def _check_rules(home: Home, settings: Settings) -> list[tuple[str, bool, str]]:
    """Raw as a whole and the published figures; a night checks the keys that arrived."""
    from retention_pipeline.audit import describe
    from retention_pipeline.run.operations import check

    if not home.raw_file.exists() and not home.current.exists():
        return [("figures", True, "nothing loaded or published yet")]
    checked = check(home, settings)
    holding = len(checked.rules) - len(checked.violations)
    findings = [("rules", True, f"{holding} rules on raw and on the published figures hold")]
    findings += [(f"rule {one.rule}", False, describe([one])) for one in checked.violations]
    return findings
