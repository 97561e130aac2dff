"""Sources of a made-up company that have another form than the contract, and fewer grains (oracle/source_forms.py)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from oracle.business_days import DAY, GRAINS
from oracle.made_times import Clock
from oracle.source_forms import CORRECTIONS, MONEY, unit

Row = dict[str, str]
Rows = dict[str, list[Row]]


def add_forms(random: Random, rows: Rows, settings: dict[str, Any], first: date, as_of: date) -> None:
    """Change a company in place; the rows say the same, but for subscriptions that become what they are today."""
    sources = settings["sources"]
    if random.random() < 0.25:
        settings["grains"] = [
            "month",
            *random.sample([grain for grain in GRAINS if grain != "month"], random.randrange(3)),
        ]
    for dataset in ("orders", "subscriptions", "acquisition_costs"):
        if rows.get(dataset) and random.random() < 0.3:
            sources[dataset]["minor_units"] = True
            rows[dataset] = [row | in_cents(row) for row in rows[dataset]]
    zone = settings["business"]["timezone"]
    clocks = {name: Clock(random, zone, source["timezone"]) for name, source in sources.items()}
    if rows.get("subscriptions") and random.random() < 0.3:
        sources["subscriptions"]["shape"] = "snapshot"
        rows["subscriptions"] = as_they_are_today(random, clocks["subscriptions"], rows["subscriptions"])
    if rows.get("subscriptions") and random.random() < 0.4:
        sources["subscriptions"]["ended_at_is_last_day"] = True
        clock = clocks["subscriptions"]
        rows["subscriptions"] = [row | {"ended_at": last_day(clock, row)} for row in rows["subscriptions"]]
    if rows.get("customers") and random.random() < 0.5:
        add_corrections(random, clocks["customers"], rows, settings, first, as_of)


def in_cents(row: Row) -> Row:
    return {name: f"{Decimal(row[name]) / unit(row['currency']):f}" for name in MONEY if row.get(name)}


def as_they_are_today(random: Random, clock: Clock, phases: list[Row]) -> list[Row]:
    """One row per subscription: mostly its last phase, since it began."""
    of_subscription: dict[str, list[Row]] = {}
    for row in sorted(phases, key=lambda row: clock.moment_of(row["started_at"]).instant):
        of_subscription.setdefault(row["subscription_id"], []).append(row)
    return [
        (found[-1] if random.random() < 0.8 else random.choice(found))
        | {"started_at": found[0]["started_at"]}
        | ({"status": random.choice(("cancelled", "past_due"))} if random.random() < 0.3 else {})
        for found in of_subscription.values()
    ]


def last_day(clock: Clock, row: Row) -> str:
    """A moment of the day before the end, or of the eve of the start for what has no days."""
    if not row["ended_at"]:
        return ""
    ended, started = (clock.moment_of(row[name]).day for name in ("ended_at", "started_at"))
    return clock.text(ended - DAY)[0] if ended > started else (started - DAY).isoformat()


def add_corrections(
    random: Random, clock: Clock, rows: Rows, settings: dict[str, Any], first: date, as_of: date
) -> None:
    """Some customers, known or not, as they were from the beginning or from a day that no other row of theirs has."""
    sources, columns = settings["sources"], [name for name in rows["customers"][0] if name != "valid_from"]
    names = [*sorted({row["customer_id"] for row in rows["customers"]}), "nobody"]
    known = {
        (row["customer_id"], clock.moment_of(row["valid_from"]).day.isoformat() if row["valid_from"] else "")
        for row in rows["customers"]
        if "valid_from" in row
    }
    corrections: dict[tuple[str, str], Row] = {}
    for _ in names:
        day = first + timedelta(days=random.randrange((as_of - first).days + 30))
        like = random.choice(rows["customers"])
        key = random.choice(names), random.choice(("", "", day.isoformat()))
        if key not in known:
            named = {"customer_id": key[0], "valid_from": key[1]}
            corrections[key] = {name: like.get(name, "") for name in columns} | named
    source = {"dataset": "customers", "type": "files", "path": f"landing/{CORRECTIONS}/*.csv", "timezone": "UTC"}
    comes_first = random.random() < 0.3
    settings["sources"] = {CORRECTIONS: source} | sources if comes_first else sources | {CORRECTIONS: source}
    rows[CORRECTIONS] = list(corrections.values())
