"""Random companies, small and nasty: rows, settings and as_of, written as a home folder or delivered night by night.

`made_company(Random(seed), customers=40)` is deterministic in the seed. No row is bad input: nothing is quarantined.
"""

from __future__ import annotations

import csv
from copy import copy
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import yaml

from oracle.business_days import WEEKDAYS
from oracle.made_activity import activity_settings, made_events
from oracle.made_customers import made_aliases, made_customers, made_rates, without_dates
from oracle.made_edges import add_edges, made_actions
from oracle.made_forms import add_forms
from oracle.made_further import FURTHER, made_costs, made_further, made_further_settings
from oracle.made_goals import add_goals
from oracle.made_oddities import with_oddities
from oracle.made_orders import made_orders
from oracle.made_rarities import INTERVALS as RARE_INTERVALS
from oracle.made_rarities import YEARS, add_rarities
from oracle.made_rarities import ZONES as RARE_ZONES
from oracle.made_refunds import add_refund_rows
from oracle.made_subscriptions import INTERVALS, made_subscriptions
from oracle.made_times import Clock

ZONES = (
    "UTC",
    "Europe/Amsterdam",
    "America/New_York",
    "Pacific/Auckland",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Santiago",
)
Rows = dict[str, list[dict[str, str]]]


@dataclass(frozen=True)
class MadeCompany:
    """Rows as text per connected dataset, the content of settings.yaml, and the day to run with."""

    rows: Rows
    settings: dict[str, Any]
    as_of: date


def made_company(random: Random, customers: int = 15, days: int = 700, *, further: bool = False) -> MadeCompany:
    """A company of so many customers whose facts spread over so many days, and as_of somewhere in their last third.
    `further`: also payments, surveys, e-mail, tickets, costs of acquisition, goals and benchmarks; and in three of four
    companies some customers more who stand on the edges of what is asked at as_of; one of four is full of rarities.
    """
    # Of a generator of its own, so that other companies stay what they were.
    odds = Random(copy(random).random())
    forms = Random(f"forms {copy(random).random()}")
    is_rare = further and odds.random() > 0.75
    year = odds.choice(YEARS) if is_rare and odds.random() < 0.5 else 2022
    rare_zone = odds.choice(RARE_ZONES) if is_rare and odds.random() < 0.6 else None
    intervals = RARE_INTERVALS if is_rare and odds.random() < 0.5 else INTERVALS
    first = date(year, 1, 1) + timedelta(days=random.randrange(365))
    last = first + timedelta(days=days)
    as_of = first + timedelta(days=random.randrange(days // 2, days))
    if random.random() < 0.3:
        as_of = as_of.replace(day=1)
    settings = made_settings(random, first, as_of, rare_zone)
    if further:
        settings["business"] |= made_further_settings(random)
        for dataset in FURTHER:
            if random.random() < 0.8:
                settings["sources"][dataset] = made_source(random, dataset, settings["business"]["timezone"])
        if random.random() < 0.6:
            source = made_source(random, "acquisition_costs", settings["business"]["timezone"])
            settings["sources"]["acquisition_costs"] = source
        if "surveys" in settings["sources"] and "segments" in settings and random.random() < 0.6:
            settings["segments"].append("nps_class")
    business = settings["business"]
    connected = settings["sources"]
    clocks = {name: Clock(random, business["timezone"], source["timezone"]) for name, source in connected.items()}
    names = [f"c{number:03d}" for number in range(customers)]
    foreign = ["USD", "GBP"] if "fx_rates" in connected else []
    currencies = ["EUR", *foreign]
    rows: Rows = {}
    aliases: list[str] = []
    if "customer_aliases" in connected:
        rows["customer_aliases"], aliases = made_aliases(random, clocks["customer_aliases"], names, first, last)
    # Facts carry surviving ids and aliases alike.
    ids = names + aliases
    if "orders" in connected:
        window = business["activity_window_days"]
        rows["orders"] = made_orders(random, clocks["orders"], ids, first, last, currencies, window)
    if "subscriptions" in connected:
        rows["subscriptions"] = made_subscriptions(
            random, clocks["subscriptions"], ids, first, last, currencies, intervals
        )
    if "customers" in connected:
        rows["customers"] = made_customers(random, clocks["customers"], ids, first, last)
        if random.random() < 0.4:
            rows["customers"] = without_dates(rows["customers"])
    for dataset in FURTHER:
        if dataset in connected:
            rows[dataset] = made_further(random, dataset, clocks[dataset], ids, first, last)
    if "events" in connected:
        rows["events"] = made_events(random, clocks["events"], ids, first, last)
    if foreign:
        # Refunds, terms and 12-month figures look at rates of days well outside of [first, last].
        since, until = first - timedelta(days=500), last + timedelta(days=500)
        rows["fx_rates"] = made_rates(random, foreign, since, until, business["fx_max_age_days"])
    if "acquisition_costs" in connected:
        rows["acquisition_costs"] = made_costs(random, currencies, first, last)
    if further:
        # Of a generator of its own, so that what a caller draws after the company stays what it was.
        own = copy(random)
        add_goals(own, rows, settings, first, as_of)
        rows = with_oddities(own, rows)
        if own.random() < 0.08:
            settings["segments"] = []
        if own.random() < 0.8:
            settings["actions"] = made_actions(own)
        if own.random() < 0.25:  # so long that customers are active who wait longer than others do
            business["activity_window_days"] = own.choice((120, 400))
        if "history_start" in settings and own.random() < 0.3:
            settings["history_start"] = settings["history_start"][:8] + "01"
        if own.random() < 0.75:
            add_edges(own, rows, settings, as_of, customers // 3)
        if rows.get("orders") and own.random() < 0.25:
            add_refund_rows(own, clocks["orders"], rows["orders"])
        if is_rare:
            add_rarities(own, rows, settings, as_of, names)
        if forms.random() < 0.3:
            add_forms(forms, rows, settings, first, as_of)
    return MadeCompany(rows, settings, as_of)


def made_settings(random: Random, first: date, as_of: date, rare_zone: str | None = None) -> dict[str, Any]:
    """Every setting that moves a figure of orders and subscriptions, drawn."""
    zone = random.choice(ZONES)
    zone = rare_zone or zone
    business: dict[str, Any] = {
        "timezone": zone,
        "reporting_currency": "EUR",
        "week_start": random.choice(WEEKDAYS),
        "fiscal_year_start": random.randint(1, 12),
        "activity_window_days": random.choice((1, 7, 30, 60, 90)),
        "count_zero_value": random.random() < 0.5,
        "loyal_purchase_days": 1 + as_of.day % 3,
        "count_past_due_days": random.choice((0, 1, 10, 30)),
        "fx_max_age_days": random.choice((0, 1, 7)),
        "cohort_event": random.choice(("first_activity", "first_activity", "signup")),
        "renewal_min_term_months": random.choice((1, 2, 12)),
        "renewal_grace_days": random.choice((1, 7, 30)),
        "churn_reason_classes": {
            "payment_failed": "involuntary",
            "too_expensive": "voluntary",
            "competitor": "voluntary",
            "unclear": "unknown",
        },
        "gross_margin": random.choice((1.0, 0.8)),
        "min_n": random.choice((0, 1, 5)),
        **activity_settings(random),
    }
    span = (as_of - first).days
    if random.random() < 0.35:
        business["data_start"] = (first + timedelta(days=random.randrange(span // 2))).isoformat()
    datasets = random.choice((("orders", "subscriptions"),) * 4 + (("orders",), ("subscriptions",)))
    optional = [name for name in ("customers", "customer_aliases", "fx_rates", "events") if random.random() < 0.8]
    settings: dict[str, Any] = {
        "business": business,
        "cohort_max_age": {grain: random.choice((2, 200)) for grain in ("week", "month", "quarter", "year")},
        "sources": {name: made_source(random, name, zone) for name in (*datasets, *optional)},
    }
    if random.random() < 0.5:
        settings["history_start"] = (first + timedelta(days=random.randrange(-60, span * 3 // 4))).isoformat()
    if random.random() < 0.7:
        dimensions = ["country", "acquisition_channel", "plan", "first_order_channel"]
        if "customers" in optional:
            dimensions.append("size")
        if "events" in optional:
            dimensions.append("engagement_group")
        settings["segments"] = random.sample(dimensions, random.randint(1, len(dimensions)))
    return settings


def made_source(random: Random, dataset: str, zone: str) -> dict[str, Any]:
    """The source of a dataset in a home folder."""
    return {
        "type": "files",
        "path": f"landing/{dataset}/*.csv",
        "timezone": random.choice((zone, "UTC", "America/New_York")),
    }


def write_home(company: MadeCompany, root: Path) -> None:
    """The company as a home folder, everything in one delivery per dataset."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "settings.yaml").write_text(yaml.safe_dump(company.settings, sort_keys=False))
    (root / "as_of").write_text(f"{company.as_of}\n")
    write_delivery(root, "all", company.rows)


def write_delivery(root: Path, name: str, rows: Rows) -> None:
    """One file per dataset, with the columns that any of its rows has."""
    for dataset, found in rows.items():
        folder = root / "landing" / dataset
        folder.mkdir(parents=True, exist_ok=True)
        if found:
            with (folder / f"{name}.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(dict.fromkeys(column for row in found for column in row)))
                writer.writeheader()
                writer.writerows(found)
