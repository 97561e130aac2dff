"""What few companies have: settings far from their defaults, ids that were merged, terms that end decades away, orders
of one moment, subscriptions that change hands, rates of the reporting currency.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

Row = dict[str, str]
Rows = dict[str, list[Row]]
# Clocks change at midnight, by two hours, not any more; a day begins 12 hours late or 14 early. None whose years to
# come are told anew in most releases of the time zone database, as Morocco's, of which DuckDB and Python may differ.
ZONES = (
    "Africa/Cairo",
    "America/Havana",
    "America/Nuuk",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Tehran",
    "Etc/GMT+12",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
)
# Around days that do not exist everywhere, leap days that there are and that there are not, and far from today.
YEARS = (1973, 1995, 1999, 2007, 2010, 2026, 2035, 2048, 2098, 2120)
INTERVALS = (
    ("year", 2),
    ("year", 3),
    ("month", 5),
    ("month", 12),
    ("month", 24),
    ("quarter", 2),
    ("week", 9),
    ("week", 52),
    ("day", 1),
    ("day", 61),
    ("day", 365),
)
SETTINGS: dict[str, tuple[Any, ...]] = {
    "loyal_purchase_days": (2, 5, 10),
    "min_n": (2, 30),
    "gross_margin": (0.333, 0.00001),
    "renewal_min_term_months": (0.2, 0.5, 1.5, 2.77, 24),
    "renewal_grace_days": (2, 90, 400),
    "payment_recovery_days": (60, 400),
    "email_window_days": (2, 60, 400),
    "mau_days": (8, 29, 60, 364, 365),
    "engagement_cuts": ([1, 2, 3], [2, 3, 40], [5, 10, 365]),
    "active_events": (["ping"], ["login", "nothing"], ["nothing"]),
    "churn_reason_classes": (
        {},
        {"too_expensive": "involuntary", "odd": "voluntary"},
        {"payment_failed": "unknown", "unclear": "involuntary"},
    ),
    "count_past_due_days": (2, 28, 365),
    "activity_window_days": (2, 31, 180, 366, 1000),
    "csat_positive": ({5: [0]}, {10: [10, 9, 0]}, {4: [], 5: [1]}, {}),
}


def add_rarities(random: Random, rows: Rows, settings: dict[str, Any], as_of: date, names: list[str]) -> None:
    """Change a company in place; no row becomes a bad one. names: ids that stand for nobody else."""
    business = settings["business"]
    for name, values in SETTINGS.items():
        if random.random() < 0.25:
            business[name] = random.choice(values)
    if random.random() < 0.1:
        settings["actions"] = {}
    if random.random() < 0.2:
        business["data_start"] = (as_of - timedelta(days=random.choice((0, 1, 2, 30, 91, 366)))).isoformat()
    if random.random() < 0.2:
        settings["history_start"] = (as_of - timedelta(days=random.choice((0, 1, 30, 366, 5000)))).isoformat()
    if rows.get("fx_rates") and random.random() < 0.5:
        # Rates of the reporting currency say nothing, whichever that is.
        rows["fx_rates"] += [
            row | {"currency": "EUR", "rate_to_reporting": f"{random.uniform(0.7, 1.4):.6f}"}
            for row in rows["fx_rates"]
            if row["currency"] == "USD"
        ]
        business["reporting_currency"] = random.choice(("EUR", "USD"))
    if "customer_aliases" in rows and random.random() < 0.6:
        rows["customer_aliases"] += merged(random, names, as_of)
    if rows.get("orders") and random.random() < 0.5:
        at_one_moment(random, rows["orders"])
    if rows.get("subscriptions") and random.random() < 0.4:
        change_hands(random, rows["subscriptions"], names)
    if rows.get("subscriptions") and random.random() < 0.3:
        end_far_away(random, rows["subscriptions"])
    if rows.get("customers") and random.random() < 0.4:
        for row in rows["customers"]:
            row["tier"] = random.choice(("a", "A", "\u00e4", "", 'a "long" one, with signs', "it's"))
        if "segments" in settings:
            settings["segments"] = [*settings["segments"][:3], "tier"]


def merged(random: Random, names: list[str], as_of: date) -> list[Row]:
    """Aliases that were customers of their own; several of one, and one of another."""
    known_from = ("", "", *((as_of + timedelta(days=days)).isoformat() for days in (-30, -1, 0)))
    return [
        {"alias_id": name, "customer_id": random.choice(names[:number]), "valid_from": random.choice(known_from)}
        for number, name in enumerate(names)
        if number and random.random() < 0.25
    ]


def at_one_moment(random: Random, orders: list[Row]) -> None:
    """Refunds and what is refunded stay where they are."""
    plain = [row for row in orders if not row.get("refund_of")]
    for _ in range(len(plain) // 4):
        one, other = random.choice(plain), random.choice(plain)
        one["ordered_at"] = other["ordered_at"]
        if random.random() < 0.5:
            one["customer_id"] = other["customer_id"]


def change_hands(random: Random, phases: list[Row], names: list[str]) -> None:
    """From some phase on a subscription is another customer's; nothing says whose its requests to cancel are."""
    of_subscription: dict[str, list[Row]] = {}
    for row in sorted(phases, key=lambda row: row["started_at"]):
        of_subscription.setdefault(row["subscription_id"], []).append(row)
    for found in of_subscription.values():
        if random.random() < 0.3:
            other = random.choice(names)
            for row in found[random.randrange(len(found)) :]:
                row["customer_id"] = other
            for row in found:
                if "cancel_requested_at" in row:
                    row["cancel_requested_at"] = ""


def end_far_away(random: Random, phases: list[Row]) -> None:
    for row in phases:
        year = int(row["started_at"][:4])
        if "term_ends_at" in row and random.random() < 0.2:
            row["term_ends_at"] = random.choice(
                (f"{year - 40}-01-31", f"{year + 40}-12-31", "2020-02-29", f"{year}-08-30")
            )
