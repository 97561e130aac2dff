"""The benchmark of behaviour: events, answers and e-mail events of a size, against engagement written by hand.

    make bench-activity SIZE=10m   or: python -m benchmarks.activity --size 10m [--keep] [--folder bench]

The home of a size has ten events per order of that size (a hundred per customer), two e-mail events and a fifth of an
answer; four events make a visit. First it is run with events alone, so that the full refresh of the engagement family
stands by itself, then with all three datasets. Each time a night without news follows, and one that brings a hundredth.
Results are printed and kept as JSON in <folder>/results-activity-<size>.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from rich.console import Console

from benchmarks import work
from benchmarks.generate import insert_rows, instant, uniform, write_ledger
from benchmarks.measure import Measured, machine, measured
from benchmarks.sizes import AS_OF, SIZES, TIMEZONE, Size
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.settings import Home

EVENTS_PER_ORDER, MAILS_PER_ORDER, ORDERS_PER_ANSWER = 10, 2, 5
EVENTS_PER_VISIT = 4
NIGHT_SHARE = 100  # a night brings a hundredth
BATCHES = 20
SETTINGS = f"""\
business: {{timezone: {TIMEZONE}, reporting_currency: EUR, mau_days: 28}}
segments: [country]
sources:
  customers: {{type: files, path: landing/customers/*.csv, timezone: UTC}}
  events: {{type: files, path: landing/events/*.csv, timezone: UTC}}
"""
FURTHER = """\
  surveys: {type: files, path: landing/surveys/*.csv, timezone: UTC}
  emails: {type: files, path: landing/emails/*.csv, timezone: UTC}
"""

console = Console()


def make_activity(root: Path, size_name: str) -> dict[str, Any]:
    """settings.yaml, with events connected alone, and raw.duckdb of a size, with all datasets."""
    size, home = SIZES[size_name], Home(root)
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text(SETTINGS + FURTHER)  # by which the ledger says that all were read
    connection = open_raw(home.raw_file)
    connection.execute("set preserve_insertion_order = true")
    try:
        _customers(connection, size)
        made = _facts_of(size)
        for load, (dataset, facts) in enumerate(made.items(), 2):
            _in_batches(connection, dataset, facts, load)
        counts = write_ledger(connection, home, ("customers", *made))
        connection.execute("checkpoint raw_store")
    finally:
        connection.close()
    home.settings_file.write_text(SETTINGS)
    return {"rows": counts}


def _customers(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    count = size.customers
    connection.execute(f"insert into raw.customer_keys select 'C' || range, range + 1 from range({count})")
    values = {
        "customer_id": "'C' || range",
        "signed_up_at": instant("range", count),
        "signed_up_at_is_date": "false",
        "country": f"['NL', 'DE', 'BE', 'FR'][1 + cast(floor(4 * {uniform('range', 11)}) as int)]",
        "_customer_key": "range + 1",
    }
    insert_rows(connection, "customers", values, f"range({count})", load=1)


def _who(row: str, rows: int, customers: int) -> str:
    """SQL for the customer of fact number `row`, who had signed up by then: mostly late ones, and a loyal quarter."""
    newest = f"cast(floor({row} * ({customers} / {rows})) as bigint)"
    picked = f"cast(floor({newest} - {newest} * pow({uniform(row, 2)}, 2.6)) as bigint)"
    return f"case when {uniform(row, 3)} < 0.75 then {picked} - {picked} % 4 else {picked} end"


def _event(row: str) -> dict[str, str]:
    kind = uniform(row, 41)
    return {
        "event_id": f"'E' || {row}",
        "occurred_at": "moment",
        "occurred_at_is_date": "false",
        "event": f"case when {kind} < 0.7 then 'login' when {kind} < 0.9 then 'search' else 'session' end",
        "duration_seconds": f"case when {kind} >= 0.9 then 30 + cast(floor(3000 * {uniform(row, 42)}) as int) end",
    }


def _answer(row: str) -> dict[str, str]:
    is_nps = f"{uniform(row, 43)} < 0.6"
    return {
        "response_id": f"'R' || {row}",
        "responded_at": "moment",
        "responded_at_is_date": "false",
        "kind": f"case when {is_nps} then 'nps' else 'csat' end",
        "score": f"case when {is_nps} then cast(floor(11 * pow({uniform(row, 44)}, 0.5)) as bigint) "
        f"else 1 + cast(floor(5 * {uniform(row, 44)}) as bigint) end",
        "scale_max": f"case when {is_nps} then 10 else 5 end",
    }


def _mail(row: str) -> dict[str, str]:
    """Message number row // 2 is delivered; of its second row, a third are opens, a tenth clicks, the others bounces of
    another message.
    """
    kind = uniform(row, 45)
    second = f"case when {kind} < 0.4 then 'opened' when {kind} < 0.5 then 'clicked' else 'sent' end"
    return {
        "message_id": f"'M' || ({row} // 2)",
        "event": f"case when {row} % 2 = 0 then 'delivered' else {second} end",
        "occurred_at": "moment",
        "occurred_at_is_date": "false",
        "is_machine": f"{uniform(row, 46)} < 0.1",
    }


class Facts(NamedTuple):
    """Rows of a dataset, their values by column, and how many in a row are of one customer: a visit or a message."""

    rows: int
    values_of: Callable[[str], dict[str, str]]
    together: int


def _facts_of(size: Size) -> dict[str, Facts]:
    """The datasets of a size."""
    return {
        "events": Facts(size.orders * EVENTS_PER_ORDER, _event, EVENTS_PER_VISIT),
        "surveys": Facts(size.orders // ORDERS_PER_ANSWER, _answer, 1),
        "emails": Facts(size.orders * MAILS_PER_ORDER, _mail, 2),
    }


def _in_batches(connection: duckdb.DuckDBPyConnection, dataset: str, facts: Facts, load: int) -> None:
    """Rows in order of time, as nights would have loaded them."""
    rows, values_of, together = facts
    of = f"(range // {together} * {together})"
    customers = connection.execute("select count(*) from raw.customer_keys").fetchone()
    assert customers is not None
    values = values_of("i") | {"customer_id": "'C' || number", "_customer_key": "number + 1"}
    step = max(rows // BATCHES, 1)
    for start in range(0, rows, step):
        source = f"""(
            select range as i, {instant(of, rows)} as moment, {_who(of, rows, customers[0])} as number
            from range({start}, {min(start + step, rows)})
        )"""
        insert_rows(connection, dataset, values, source, load=load)


def connect_all(root: Path) -> dict[str, Any]:
    """Answers and e-mails are connected, too."""
    Home(root).settings_file.write_text(SETTINGS + FURTHER)
    return {}


def deliver_events(root: Path, size_name: str) -> dict[str, Any]:
    """The CSV file of a night's events."""
    return _deliver(root, SIZES[size_name], "events", 1)


def deliver_all(root: Path, size_name: str) -> dict[str, Any]:
    """The CSV files of a second night, of all three datasets."""
    size = SIZES[size_name]
    return {name: _deliver(root, size, name, 2)["rows"] for name in _facts_of(size)}


def _deliver(root: Path, size: Size, dataset: str, night: int) -> dict[str, Any]:
    """A CSV file of a hundredth of the rows that there were first, a hundredth of them late by up to a month; nights
    are two days apart.
    """
    rows, values_of, together = _facts_of(size)[dataset]
    count, day = rows // NIGHT_SHARE, AS_OF + timedelta(days=2 * (night - 1))
    folder = root / "landing" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    number, visit = f"(range + {rows + count * (night - 1)})", f"(range // {together})"
    late = f"case when {uniform(visit, 47)} < 0.01 then cast(1 + floor(30 * {uniform(visit, 48)}) as int) else 0 end"
    moment = f"timestamp '{day}' + to_seconds(cast(80000 * {uniform(visit, 49)} as bigint)) - to_days({late})"
    who = f"cast(floor({size.customers} * (1 - pow({uniform(visit, 50)}, 2.6))) as bigint)"
    values = {name: value for name, value in values_of("i").items() if not name.endswith("_is_date")}
    listed = ", ".join(f"{value} as {name}" for name, value in ({"customer_id": "'C' || number"} | values).items())
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select {listed} from (select {number} as i, {moment} as moment, {who} as number"
            f" from range({count}))) to '{folder / f'night_{night}.csv'}' (header)"
        )
    return {"rows": count}


def engagement_by_hand(root: Path) -> dict[str, Any]:
    """baseline_events.sql into baseline_events.duckdb beside the home."""
    with work.by_hand(root, "baseline_events", "baseline_events.sql"):
        return {}


def unlike_by_hand(root: Path) -> dict[str, int]:
    """Months (and bars of the histogram) in which the pipeline and the script differ; none should."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{Home(root).current.resolve()}' as current (read_only)")
        connection.execute(f"attach '{root}/baseline_events.duckdb' as by_hand (read_only)")
        months = connection.execute(f"""
            with mine as (
                pivot (
                    select period_start, kpi, value from current.retention_kpis
                    where grain = 'month' and segment_dimension = 'all' and period_start < date '{AS_OF}'
                        and kpi in ('dau', 'mau', 'stickiness', 'active_customers')
                ) on kpi in ('dau', 'mau', 'stickiness', 'active_customers') using any_value(value)
            )
            select count(*) from mine full join by_hand.engagement as theirs on mine.period_start = theirs.month
            where mine.mau is distinct from theirs.mau or mine.active_customers is distinct from theirs.active_customers
                or not abs(mine.dau - theirs.dau) <= 1e-9 * theirs.dau
                or not abs(mine.stickiness - theirs.stickiness) <= 1e-12""").fetchone()
        bars = connection.execute("""
            select count(*) from (
                select period_start as month, active_days, customers from current.engagement_lness
                where grain = 'month' and segment_dimension = 'all'
                    and period_start <= (select max(month) from by_hand.lness)
            ) as mine full join by_hand.lness as theirs using (month, active_days)
            where mine.customers is distinct from theirs.customers""").fetchone()
    assert months is not None and bars is not None
    return {"months": int(months[0]), "bars": int(bars[0])}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description="Measure engagement, answers and e-mails against a script by hand.")
    parser.add_argument("--size", choices=list(SIZES), default="1m")
    parser.add_argument("--folder", default="bench", help="where the data go (removed afterwards)")
    parser.add_argument("--keep", action="store_true", help="leave the data and the warehouse there")
    arguments = parser.parse_args()
    folder = Path(arguments.folder).resolve()
    root = folder / f"activity-{arguments.size}"
    shutil.rmtree(root, ignore_errors=True)
    steps: dict[str, Measured] = {}

    def step(name: str, function: Any, *parts: Any) -> None:
        steps[name] = done = measured(name, function, *parts)
        console.print(f"{name}: {done.wall:.1f} s, {done.cpu:.1f} CPU s, {done.peak_mb:,} MB")
        for part, wall, cpu in done.result.get("steps", []):
            console.print(f"[dim]  {part}: {wall:.1f} s, {cpu:.1f} CPU s[/dim]")

    found: dict[str, Any] = {}
    try:
        step("generate", make_activity, root, arguments.size)
        step("engagement by hand", engagement_by_hand, root)
        step("full refresh, events alone", work.pipeline_run, root, 0, True)
        found["differences_to_by_hand"] = unlike_by_hand(root)
        step("night, nothing new", work.pipeline_run, root, 1, False)
        deliver_events(root, arguments.size)
        step("night with events", work.pipeline_run, root, 2, False)
        connect_all(root)
        step("full refresh, all three datasets", work.pipeline_run, root, 2, True)
        step("night of all three, nothing new", work.pipeline_run, root, 3, False)
        deliver_all(root, arguments.size)
        step("night of all three with rows", work.pipeline_run, root, 4, False)
    finally:
        if "full refresh, events alone" in steps:
            full = steps["full refresh, events alone"].cpu
            found["full refresh / by hand, CPU"] = round(full / steps["engagement by hand"].cpu, 2)
        for name, refresh, quiet, night in (
            ("events alone", "full refresh, events alone", "night, nothing new", "night with events"),
            (
                "all three datasets",
                "full refresh, all three datasets",
                "night of all three, nothing new",
                "night of all three with rows",
            ),
        ):
            if night in steps:
                above = (steps[night].cpu - steps[quiet].cpu) / steps[refresh].cpu
                found[f"{name}: night above nothing new / full refresh, CPU"] = round(above, 3)
        for name, value in found.items():
            console.print(f"{name}: {value}")
        content = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "steps": [asdict(one) for one in steps.values()],
            **found,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"results-activity-{arguments.size}.json").write_text(json.dumps(content, indent=1, default=str))
        if not arguments.keep:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
