"""The verbs that look after an environment: init, status, restore, rebuild, ui; `check` has a module of its own."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from retention_pipeline import formatting, templates
from retention_pipeline.alerts import as_row
from retention_pipeline.alerts import load as load_alerts
from retention_pipeline.cli.json_output import print_json
from retention_pipeline.cli.print_status import print_status
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.freshness.marks import published_reasons
from retention_pipeline.freshness.sources import states_now
from retention_pipeline.read import published
from retention_pipeline.run.dagster_storage import schedule_state
from retention_pipeline.settings import load_settings, resolve_home
from retention_pipeline.settings.cron import next_after
from retention_pipeline.warehouse import DamagedFile

if TYPE_CHECKING:
    pass

SHOWN_RUNS = 8
SHOWN_UNKNOWN = 5


class UnknownTemplate(Exception):
    """A template was asked for that there is not."""


class AlreadyThere(Exception):
    """A folder that is to be made new has settings in it."""


def init(folder: Path, template: str | None = None) -> None:
    """A new environment: settings.yaml with every setting explained, or the template for an export."""
    from retention_pipeline.demo import settings_template

    home = resolve_home(folder)
    if home.settings_file.exists():
        raise AlreadyThere(f"{home.settings_file} already exists; nothing was changed")
    if template is not None and template not in templates.names():
        raise UnknownTemplate(f"there is no template {template!r}; there are: {', '.join(templates.names())}")
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text(settings_template() if template is None else templates.text(template), "utf-8")
    ignored = home.root / ".gitignore"
    if not ignored.exists():
        ignored.write_text("# A home in a clone is nobody's business: it holds the names of customers.\n*\n", "utf-8")
    console = terminal()
    console.print(Text.assemble("Made ", (str(home.settings_file), "bold"), ". Next:"))
    first = "say in it where your orders or subscriptions are, and what their columns are called;"
    if template is not None:
        is_database = "dsn:" in templates.text(template)
        if not is_database:
            (home.root / "landing").mkdir(exist_ok=True)
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
        "schedule": f"{settings.schedule.cron} {settings.business.timezone}",
        "next_run": next_after(settings.schedule.cron, now, settings.business.timezone).isoformat(),
        "starts_by_itself": schedule_state(place.dagster, now.replace(tzinfo=None)),
        "generations": [
            {"generation": one.number, "current": one.is_current, "bytes": one.bytes} for one in found.kept
        ],
        "sources": None if states is None else [state.as_json() for state in states],
        "marked_because": [],
        "quality": [],
        "alerts": [as_row(one) for one in load_alerts(place) if one.is_open],
        "runs": found.runs[:SHOWN_RUNS],
    }
    if is_whole and place.current.exists():
        with published.open_published(place) as connection:
            answer["quality"] = published.rows_of(connection, "select * from data_quality")
            answer["marked_because"] = published_reasons(connection)
    if as_json:
        print_json(answer)
    else:
        print_status(terminal(highlight=False), place, answer, now)
    if not is_whole:
        raise DamagedFile("\n".join(found.problems))


def restore(home: Path | None, generation: int | None, *, as_json: bool) -> None:
    """Make an earlier generation current, under the writer lock."""
    from retention_pipeline.run import operations

    place = resolve_home(home)
    console = terminal(stderr=True, highlight=False)
    chosen = operations.restore(place, generation, progress=lambda line: console.print(Text(line), soft_wrap=True))
    with published.open_published(place) as connection:
        state = published.state(connection)
    if as_json:
        print_json({"generation": chosen.number, "as_of": state["as_of"], "path": str(chosen.path)})
        return
    console = terminal(highlight=False)
    console.print(
        f"Generation {chosen.number} is current again: figures as of {state['as_of']}, built {state['built_at']} UTC."
    )
    console.print("Raw data are as they were; the next run starts from this generation and catches up.", style="dim")


def rebuild(home: Path | None, *, without_missing: bool, as_json: bool) -> None:
    """raw.duckdb anew from the archive, and what could not be loaded again."""
    from retention_pipeline.run import operations

    place = resolve_home(home)
    console = terminal(stderr=True, highlight=False)
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
    console = terminal(highlight=False)
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
        lines.append(f"The former file is {made.replaced}; nothing needs it now.")
    lines.append(f"The next run is a full refresh from it: retention run --home {place.root}")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def ui(home: Path | None, *, host: str, port: int) -> None:
    """Start `dagster dev` in place of this process, on the home's own storage."""
    from retention_pipeline.orchestration.instance import end_dead_runs, open_instance

    place = resolve_home(home)
    load_settings(place)
    with open_instance(place) as instance:
        end_dead_runs(instance, place)
    console = terminal(stderr=True, highlight=False)
    console.print(
        f"Dagster for {place.root}: http://{host}:{port} in about 15 seconds; Ctrl-C stops it and the schedule."
    )
    environment = os.environ | {"RETENTION_HOME": str(place.root), "DAGSTER_HOME": str(place.dagster)}
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", host, "-p", str(port)]
    os.chdir(place.dagster)
    os.execve(sys.executable, command, environment)
