"""The verbs that make figures: demo, run, backfill. Progress goes to standard error, the answer to standard out."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.status import Status
from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import print_json
from retention_pipeline.cli.print_headline import print_headline
from retention_pipeline.cli.printing import print_excluded, print_late, print_left_out, print_places
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.read.headline import read_headline
from retention_pipeline.read.hint import hint_for_old_data
from retention_pipeline.read.published import dimensions, missing_rows, open_published, state, tables
from retention_pipeline.settings import Home, Settings, load_settings, resolve_home

COMPANY_TIMEZONE = "Europe/Amsterdam"
FIRST_KPI = "customer_churn_rate"  # what is shown first, where there is one
SHOWN_SECONDS, SHOWN_PARTS = 0.3, 6


class Teller:
    """Progress in the terminal: lines that stay, with the seconds since the start, and one of what is under way."""

    def __init__(self, console: Console, status: Status | None) -> None:
        self.console, self.status, self.started = console, status, time.perf_counter()

    def say(self, text: str) -> None:
        """A line that stays."""
        elapsed = f"{time.perf_counter() - self.started:6.1f} s  "
        for number, line in enumerate(text.splitlines()):
            before = elapsed if number == 0 else " " * len(elapsed)
            shown = Text.assemble((before, "dim"), formatting.visible(line))
            self.console.print(shown, soft_wrap=True)

    def moment(self, text: str) -> None:
        """What is under way right now; shown on a terminal only."""
        if self.status is not None:
            self.status.update(Text(text, "cyan"))


@contextmanager
def told() -> Iterator[Teller]:
    """A teller on standard error; the moving line only where somebody watches."""
    console = terminal(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Teller(console, None)
        return
    with console.status("") as status:
        yield Teller(console, status)


def run(
    home: Path | None,
    *,
    as_of: date | None,
    full_refresh: bool,
    as_json: bool,
    allow_future: bool = False,
    reload: list[str] | None = None,
) -> None:
    """The nightly job; then the last complete month. `reload`: paths of files that are loaded again."""
    from retention_pipeline.ingest.landing import names_of
    from retention_pipeline.orchestration.launch import launch

    place = resolve_home(home)
    settings = load_settings(place)
    again = names_of(place, settings, reload or [])
    with told() as teller:
        launched = launch(
            place,
            settings,
            as_of=as_of,
            full_refresh=full_refresh,
            allow_future=allow_future,
            reload=again,
            command="run",
            say=teller.say,
            moment=teller.moment,
        )
        teller.say(_where_time_went(launched.seconds))
    hint = None if as_of else _hint(place, settings)
    _answer(place, launched.record, launched.seconds, as_json=as_json, hint=hint)


def backfill(home: Path | None, first: str, last: str, *, as_json: bool) -> None:
    """A range of past months in one run, and what it changed."""
    from retention_pipeline.orchestration.launch import NoSuchMonths, launch
    from retention_pipeline.publish.differences import compare_generations
    from retention_pipeline.run.operations import kept_open

    place = resolve_home(home)
    settings = load_settings(place)
    if first > last:
        raise NoSuchMonths(f"--from {first} is later than --to {last}")
    if not place.current.exists():
        raise NoSuchMonths("Nothing is published yet; the first run makes all history (retention run)")
    with told() as teller, kept_open(place.current.resolve()) as before:
        launched = launch(
            place, settings, months=(first, last), command="backfill", say=teller.say, moment=teller.moment
        )
        days = [date.fromisoformat(f"{month}-01") for month in (first, last)]
        found = compare_generations(before, place.current.resolve(), *days)
        for one in found:
            teller.say(f"{one.table}: {one.in_range:,} rows differ in the range, {one.outside:,} outside it")
        if not found:
            teller.say(f"{first} to {last} computed again from the facts: nothing differs")
        teller.say(_where_time_went(launched.seconds))
    differences = [{"table": one.table, "in_range": one.in_range, "outside": one.outside} for one in found]
    _answer(place, launched.record | {"differences": differences}, launched.seconds, as_json=as_json)


def restate(home: Path | None, start: date | None, *, grain: str, as_json: bool) -> None:
    """Let in what is held back of a period (None: of all), and what that changed, which is the answer."""
    from retention_pipeline.history.sentences import Line
    from retention_pipeline.orchestration.launch import launch

    place = resolve_home(home)
    settings = load_settings(place)
    with told() as teller:
        launched = launch(
            place,
            settings,
            restate=[] if start is None else [(grain, start)],
            command="restate",
            say=lambda text: None if isinstance(text, Line) else teller.say(text),
            moment=teller.moment,
        )
        teller.say(_where_time_went(launched.seconds))
    record = launched.record
    if as_json:
        print_json({name: value for name, value in record.items() if name != "pid"})
        return
    console = terminal()
    for line in record["restatements"] or ["nothing changed"]:
        console.print(Text(line), soft_wrap=True)


def demo(folder: Path, *, customers: int, months: int, as_of: date | None, engine: str = "duckdb") -> None:
    """The sample company: its data (once), its whole history, its last month, and what to try."""
    place = resolve_home(folder)
    day = as_of or datetime.now(UTC).astimezone(ZoneInfo(COMPANY_TIMEZONE)).date()
    with told() as teller:
        if place.settings_file.exists():
            teller.say(f"{_short(place.root)} already exists; only its night is run")
        else:
            from retention_pipeline.demo import make_company

            teller.moment(f"making a company of {customers:,} customers")
            make_company(place.root, customers=customers, months=months, as_of=day, engine=engine)
            teller.say(f"made a coffee shop of {customers:,} customers and {months} months in {_short(place.root)}")
        from retention_pipeline.orchestration.launch import launch

        launched = launch(
            place,
            load_settings(place),
            as_of=day,
            allow_future=True,
            command="demo",
            say=teller.say,
            moment=teller.moment,
        )
        teller.say(_where_time_went(launched.seconds))
    _answer(place, launched.record, launched.seconds, as_json=False)


def _hint(home: Home, settings: Settings) -> str | None:
    """What to try where the data end long before today."""
    with open_published(home) as connection:
        headline = read_headline(connection, as_of=state(connection)["as_of"])
        return hint_for_old_data(connection, headline, settings.business.timezone)


def _answer(
    home: Home, record: dict[str, Any], seconds: dict[str, float], *, as_json: bool, hint: str | None = None
) -> None:
    if as_json:
        rounded = {name: round(value, 3) for name, value in seconds.items()}
        shown = {name: value for name, value in record.items() if name != "pid"}
        print_json(shown | {"hint": hint, "seconds": rounded})
        return
    console = terminal()
    with open_published(home) as connection:
        headline = read_headline(connection, as_of=state(connection)["as_of"])
        segments = list(dimensions(connection))
        missing = missing_rows(connection)
        is_published = "quarantine" in {row["name"] for row in tables(connection)}
    not_loaded = [
        (load["source"], load["file_name"], load["error"])
        for load in record.get("loads", [])
        if load["status"] in ("refused", "failed")
    ]
    told = [why for _, _, why in not_loaded if why]
    if headline is not None:
        print_headline(console, headline, told)
    print_late(console, record.get("sources", []), told)
    refused = formatting.few_of_each(not_loaded)
    if is_published:
        where = f'{_command()} query "from quarantine"{_home_option(home)}'
    else:
        where = f"raw_store.raw.quarantine after: attach '{_short(home.raw_file)}' as raw_store"
    tonight = record.get("rows_quarantined", 0)
    print_left_out(console, refused, tonight, max(missing - tonight, 0), headline is not None, where=where)
    print_excluded(console, record.get("excluded_orders", []))
    if hint:
        console.print()
        console.print(hint, style="bold yellow", soft_wrap=True)
    kpis = [line.kpi for line in headline.lines] if headline is not None else []
    kpi = FIRST_KPI if FIRST_KPI in kpis or not kpis else kpis[0]
    print_places(console, _places(home), _tries(home, kpi, segments) if record.get("generation") == 1 else [])


def _where_time_went(seconds: dict[str, float]) -> str:
    """`12.3 s: build 4.1, imports 2.0, …`, from the longest on."""
    parts = sorted(((value, name) for name, value in seconds.items() if value >= SHOWN_SECONDS), reverse=True)
    shown = ", ".join(f"{name} {value:.1f}" for value, name in parts[:SHOWN_PARTS])
    return f"{sum(seconds.values()):.1f} s in all: {shown}"


def _places(home: Home) -> list[tuple[str, str]]:
    return [
        (
            _short(home.current),
            "the published warehouse: one DuckDB file, always whole, open it with any DuckDB client",
        ),
        (_short(home.published / "parquet"), "its KPI and period tables as Parquet"),
        (_short(home.settings_file), "the settings: sources, time zone, what counts"),
        (_short(home.runs), "a record and dbt's log of every run"),
    ]


def _tries(home: Home, kpi: str, segments: list[str]) -> list[tuple[str, str]]:
    command, suffix = _command(), _home_option(home)
    segment = f" --segment {segments[0]}" if segments else ""
    table = "cohort_retention" if kpi == FIRST_KPI else "retention_kpis"  # surveys alone make no cohorts
    tries = [
        (
            f"{command} kpis {kpi}{segment}{suffix}",
            "a KPI over time" + (", by segment" if segment else ""),
        ),
        (f"{command} report --open{suffix}", "one page to look at, for everybody"),
        (f"{command} kpis --list{suffix}", "every KPI with its definition"),
        (f'{command} query "from {table} limit 20"{suffix}', "SQL on everything that is published"),
        (f"{command} ui{suffix}", "the graph, the runs and the nightly schedule in the browser"),
    ]
    later = home.root / "arrives_later"
    if later.is_dir():
        copied = f"cp -r {_short(later)}/. {_short(home.root / 'landing')}"
        tries.append((f"{copied} && {command} run{suffix}", "late and corrected rows arrive: a night of work"))
    return tries


def _command() -> str:
    """How this command can be typed again: by its name where the shell finds it, else by its path."""
    return "retention" if shutil.which("retention") else _short(Path(sys.argv[0]))


def _home_option(home: Home) -> str:
    """` --home DIR`, unless that is where the command looks anyway."""
    return "" if resolve_home(None) == home else f" --home {_short(home.root)}"


def _short(path: Path) -> str:
    """Relative to the current folder where that is shorter to read."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
