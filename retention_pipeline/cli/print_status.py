"""How `retention status` is printed: what is published, the input, the sources, the last runs. Nothing is read here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.printing import print_excluded, print_late, without_reasons
from retention_pipeline.read.published import Row
from retention_pipeline.settings import Home

OUTCOMES = {"succeeded": "green", "failed": "red", "killed": "red", "running": "yellow"}


def print_status(console: Console, home: Home, answer: dict[str, Any], now: datetime) -> None:
    """What `retention status --json` answers, for people. `now` with a zone: what ages are counted to."""
    state = answer["published"]
    told = [row["note"] for row in answer["quality"] if row["measure"] == "refused_file" and row["note"]]
    console.print(Text(str(home.root), "bold"))
    if answer["problems"]:
        console.print("  files are lost or damaged; see below", style="bold red")
    elif state is None:
        console.print(f"  Nothing is published yet; the first figures: retention run --home {home.root}")
    else:
        kept = ", ".join(str(one["generation"]) for one in answer["generations"] if not one["current"])
        built = formatting.moment(state["built_at"])
        console.print(
            f"  generation {state['generation']}, as of {state['as_of']}, built {built}"
            + (f"; kept: {kept}" if kept else "")
        )
    _print_next_run(console, answer, now)
    if answer["writer"]:
        writer = answer["writer"]
        console.print(f"  being written by process {writer.get('pid')} since {writer.get('since')}", style="yellow")
    if answer["waiting_loads"]:
        number = answer["waiting_loads"]
        loads = "1 load is" if number == 1 else f"{number:,} loads are"
        console.print(f"  {loads} in raw that these figures do not contain yet", style="yellow")
    if answer["raw_is_another"]:
        console.print(f"  {answer['raw_is_another']}: the next run is a full refresh", style="yellow")
    for reason in answer["marked_because"]:
        console.print(Text(f"  figures are marked: {without_reasons(reason, told)}", "yellow"), soft_wrap=True)
    if answer["quality"] or answer["sources"]:
        console.print()
        console.print(_input_table(answer["quality"], answer["sources"] or [], now.replace(tzinfo=None)))
    _print_refused(console, home, answer["quality"])
    print_excluded(console, _excluded(answer["quality"]))
    if answer["sources"] is None:
        console.print("  a run is loading; whether sources are late can be said when it is done", style="dim")
    print_late(console, answer["sources"] or [], told)
    for alert in answer["alerts"]:
        seen = ", acknowledged" if alert["acknowledged_at"] else ""
        number = Text.assemble(
            (f"  alert {alert['alert_id']}{seen}  ", "yellow"),
            f"{alert['rule']}: {formatting.indented(without_reasons(alert['message'], told), 4)}",
        )
        console.print(number, soft_wrap=True)
    if answer["runs"]:
        console.print()
        console.print(_runs_table(answer["runs"]))
        _print_causes(console, answer["runs"])


def _print_next_run(console: Console, answer: dict[str, Any], now: datetime) -> None:
    following = datetime.fromisoformat(answer["next_run"])
    line = f"  next run {formatting.day(following)} {following:%H:%M} {answer['schedule'].split()[-1]}"
    if answer["starts_by_itself"] == "on":
        console.print(f"{line}, in {formatting.lasting(following - now)}")
    else:
        why = "the schedule is switched off" if answer["starts_by_itself"] == "off" else "no daemon is up to start it"
        console.print(f"{line}, but {why}", style="yellow" if answer["starts_by_itself"] == "off" else None)


def _input_table(rows: list[Row], states: list[dict[str, Any]], now: datetime) -> Table:
    """One line per dataset, or per source where a dataset has several: rows, their latest fact, how long ago something
    was delivered, refused rows, and whether a run that began now would find the source late.
    """
    by_dataset: dict[str, dict[str, Any]] = {}
    for row in rows:
        measures = by_dataset.setdefault(row["dataset"], {})
        if row["measure"] == "quarantined":
            measures["quarantined"] = measures.get("quarantined", 0) + (row["value"] or 0)
        else:
            measures[row["measure"]] = row["moment"] if row["moment"] is not None else row["value"]
    sources: dict[str, list[dict[str, Any]]] = {}
    for state in states:
        sources.setdefault(state["dataset"], []).append(state)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Data", no_wrap=True)
    for name in ("rows", "latest fact", "delivered", "refused"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for dataset in dict.fromkeys([*by_dataset, *sources]):
        measures, of_dataset = by_dataset.get(dataset, {}), sources.get(dataset, [])
        if "rows" in measures or of_dataset:
            bad = measures.get("quarantined", 0)
            ago, fresh = _ago(measures.get("last_load"), now), Text("")
            if len(of_dataset) == 1:
                ago, fresh = _delivered(of_dataset[0], now)
            table.add_row(
                dataset,
                f"{measures.get('rows') or 0:,.0f}",
                _day(measures.get("latest_fact")),
                "" if len(of_dataset) > 1 else ago,
                Text(f"{bad:,.0f}", "yellow" if bad else "dim"),
                fresh,
            )
        for state in of_dataset if len(of_dataset) > 1 else ():
            ago, fresh = _delivered(state, now)
            table.add_row(Text(f"  {state['source']}", "dim"), "", "", ago, "", fresh)
    return table


def _delivered(state: dict[str, Any], now: datetime) -> tuple[str, Text]:
    """How long ago a source delivered, and whether it is late; nothing of that where there is no age to hold it to."""
    last = datetime.fromisoformat(state["last_delivery"]) if state["last_delivery"] else None
    said = state["max_age_hours"] or state["why"]
    fresh = Text(state["state"], "green" if state["state"] == "fresh" else "yellow") if said else Text("")
    return _ago(last, now) if last else "never", fresh


def _ago(moment: datetime | None, now: datetime) -> str:
    return f"{formatting.lasting(now - moment)} ago" if moment else ""


def _day(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else ""


def _print_refused(console: Console, home: Home, rows: list[Row]) -> None:
    """The files that were refused and why, one by one; of refused rows per reason how many, with one of them."""
    files = [row for row in rows if row["measure"] == "refused_file"]
    for dataset in dict.fromkeys(row["dataset"] for row in files):
        of_dataset = [(dataset, row["detail"], row["note"] or "") for row in files if row["dataset"] == dataset]
        for name, why in formatting.few_of_each(of_dataset):
            said = f"  not loaded: {name}: {why}"
            console.print(Text.assemble("  ", (dataset, "bold"), (said, "red")), soft_wrap=True)
    refused = [row for row in rows if row["measure"] == "quarantined"]
    for row in refused:
        said = f"  {formatting.counted(row['value'], 'row')} refused: {row['note'] or row['detail']}"
        console.print(Text.assemble("  ", (row["dataset"], "bold"), said), soft_wrap=True)
    if refused:
        command = f'retention query "from quarantine" --home {home.root}'
        console.print(Text(f"  all refused rows: {command}", "dim"), soft_wrap=True)


def _excluded(rows: list[Row]) -> list[Row]:
    return [
        {"reason": row["detail"], "orders": int(row["value"]), "amount": row["note"]}
        for row in rows
        if row["measure"] == "excluded_orders"
    ]


def _runs_table(runs: list[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, justify in (
        ("Run", "left"),
        ("by", "left"),
        ("as of", "left"),
        ("seconds", "right"),
        ("", "left"),
        ("", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in runs:
        error = (row.get("error") or "").strip().splitlines()
        warnings = (row.get("warnings") or "").splitlines()
        table.add_row(
            row["run_id"],
            row["command"],
            str(row["as_of"]),
            f"{row['wall_seconds'] or 0:.1f}",
            Text(row["status"] or "", OUTCOMES.get(row["status"] or "", "")),
            Text(f"in {row['failed_step']}", "dim") if error else Text(_late_in_short(warnings), "yellow"),
        )
    return table


def _print_causes(console: Console, runs: list[Row]) -> None:
    """All that is known about the failed runs that are shown; a cause that several have is told once."""
    told: dict[str, list[str]] = {}
    for row in runs:
        if row["status"] == "failed" and (row.get("error") or "").strip():
            told.setdefault(f"failed in {row['failed_step']}:\n{row['error'].strip()}", []).append(row["run_id"])
    for cause, names in told.items():
        step, *lines = cause.splitlines()
        console.print(Text(f"  {' and '.join(names)} {step}", "bold red"))
        for line in lines:
            console.print(Text(f"    {line}"), soft_wrap=True)


def _late_in_short(warnings: list[str]) -> str:
    """`orders stale, subscriptions failed` of a run's warnings."""
    return ", ".join(warning.split(":")[0] for warning in warnings)
