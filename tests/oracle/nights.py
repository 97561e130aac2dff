"""A made-up company delivered night by night: late rows, corrections, stale versions again, and days that pass by.

After the last night the rows in force are the company's. Orders and subscriptions carry `updated_at`, which decides
between versions; of the other datasets the version delivered last is in force. Customers without `valid_from` have more
versions than others, and `rows_known` keeps them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from oracle.companies import MadeCompany, Rows
from oracle.source_forms import CORRECTIONS

KEYS = {
    "orders": ("order_id",),
    "subscriptions": ("subscription_id", "started_at"),
    "customers": ("customer_id", "valid_from"),
    CORRECTIONS: ("customer_id", "valid_from"),
    "customer_aliases": ("alias_id",),
    "fx_rates": ("date", "currency"),
    "events": ("event_id",),
    "payments": ("payment_id",),
    "surveys": ("response_id",),
    "emails": ("message_id", "customer_id", "event", "occurred_at"),
    "tickets": ("ticket_id",),
    "acquisition_costs": ("month", "currency", "acquisition_channel"),
    "kpi_targets": ("kpi", "grain", "basis", "segment_dimension", "segment_value", "start_on"),
    "kpi_benchmarks": ("kpi", "grain", "industry", "source", "year"),
}
DATED_BY = {
    "orders": "ordered_at",
    "subscriptions": "started_at",
    "customers": "valid_from",
    CORRECTIONS: "valid_from",
    "events": "occurred_at",
    "payments": "attempted_at",
    "surveys": "responded_at",
    "emails": "occurred_at",
    "tickets": "opened_at",
    "acquisition_costs": "month",
}
Row = dict[str, str]


@dataclass(frozen=True)
class Night:
    """What is delivered before a run, and the day to run with."""

    as_of: date
    rows: Rows


def made_nights(random: Random, company: MadeCompany, count: int = 6) -> list[Night]:
    """So many nights, of which the last has the company's as_of and completes its rows."""
    as_ofs = [company.as_of]
    while len(as_ofs) < count:
        as_ofs.insert(0, as_ofs[0] - timedelta(days=random.choice((1, 1, 1, 2, 7, 30, 45))))
    delivered: list[Rows] = [defaultdict(list) for _ in as_ofs]
    names = [row["customer_id"] for row in company.rows.get("customers", ())] or ["c000"]
    for dataset, rows in company.rows.items():
        for row in rows:
            arrival = arrival_of(random, row.get(DATED_BY.get(dataset, ""), ""), as_ofs)
            is_present = tells_the_present(dataset, row)
            if is_present and random.random() < 0.2:
                arrival = random.randrange(count)
            versions = [row]
            while (
                random.random() < (0.7 if is_present else 0.25)
                and len(versions) < 3
                and arrival + len(versions) < count
            ):
                versions.insert(0, earlier_version(random, dataset, versions[0], names))
            for number, version in enumerate(versions):
                # Versions come in order, the last of them on any later night.
                night = arrival if number == 0 else random.randint(arrival + number, count - len(versions) + number)
                arrival = night - number
                written = stamped(dataset, version, night)
                delivered[night][dataset].append(written)
                if random.random() < 0.05 and (has_versions(dataset) or number == len(versions) - 1):
                    delivered[random.randint(night, count - 1)][dataset].append(written)
    return [Night(as_of, dict(rows)) for as_of, rows in zip(as_ofs, delivered, strict=True)]


def arrival_of(random: Random, written: str, as_ofs: list[date]) -> int:
    """Mostly the first night after the row's day; sometimes late, sometimes with the first delivery already."""
    last = len(as_ofs) - 1
    if not written or random.random() < 0.15:
        return 0
    day = date.fromisoformat(written[:10])
    first = next((number for number, as_of in enumerate(as_ofs) if day < as_of), last)
    return min(last, first + (random.randint(1, 4) if random.random() < 0.3 else 0))


def earlier_version(random: Random, dataset: str, row: Row, names: list[str]) -> Row:
    """The row as it was before something was corrected; as valid as the row, under the same key."""
    if dataset == "orders":
        had_rates = row["currency"] != "JPY"
        changes = [
            {"status": "pending"} | ({} if had_rates else {"refunded_amount": ""}),
            {"status": "paid" if had_rates else "cancelled", "refunded_amount": "", "refunded_at": ""},
            {"customer_id": random.choice([*names, ""])},
            {"ordered_at": moved(row["ordered_at"], random.choice((-40, -1, 1, 35)))},
            {"is_test": "true"},
            {"channel": "web"},
        ]
    elif dataset == "subscriptions":
        changes = [
            {"ended_at": ""},
            {"ended_at": "", "status": "active"},
            {"status": random.choice(("active", "past_due", "paused"))},
            {"quantity": str(int(row["quantity"]) + 1)},
            {"plan": "basic", "end_reason": ""},
            {"term_ends_at": "", "cancel_requested_at": ""},
            {"customer_id": random.choice(names)},
        ]
    elif dataset in ("customers", CORRECTIONS):
        changes = [{"country": random.choice(("NL", "DE", ""))}, {"acquisition_channel": "ads"}, {"signed_up_at": ""}]
    elif dataset == "customer_aliases":
        others = [name for name in names if name < row["alias_id"]]
        changes = [
            {"customer_id": row["alias_id"].rstrip("x")},
            {"customer_id": random.choice(others or [row["customer_id"]])},
        ]
    elif dataset == "events":
        changes = [
            {"occurred_at": moved(row["occurred_at"], random.choice((-40, -1, 1, 35)))},
            {"customer_id": random.choice([*names, ""])},
            {"event": random.choice(("login", "ping"))},
            {"duration_seconds": "12.5"},
        ]
    elif dataset == "payments":
        changes = [
            {"status": random.choice(("failed", "succeeded")), "failure_reason": "unclear"},
            {"invoice_id": random.choice(("", "i1", "i2", row["payment_id"]))},
            {"customer_id": random.choice([*names, ""])},
            {"attempted_at": moved(row["attempted_at"], random.choice((-31, -1, 1, 31)))},
        ]
    elif dataset == "surveys":
        changes = [
            {"score": str(random.randint(0, int(row["scale_max"])))},
            {"customer_id": random.choice([*names, ""])},
            {"responded_at": moved(row["responded_at"], random.choice((-31, -1, 1, 31)))},
            {"kind": "csat"},
        ]
    elif dataset == "emails":
        changes = [{"is_machine": random.choice(("", "true", "false"))}]
    elif dataset == "tickets":
        changes = [
            {"resolved_at": ""},
            {"first_reply_at": "", "resolved_at": ""},
            {"customer_id": random.choice([*names, ""])},
            {"reason": "unclear"},
        ]
    elif dataset == "acquisition_costs":
        changes = [{"amount": "777"}, {"amount": "0.00"}]
    elif dataset == "kpi_targets":
        changes = [{"target": "7.5"}, {"baseline": ""}, {"due_on": moved(row["due_on"], 31)}]
    elif dataset == "kpi_benchmarks":
        changes = [{"value": "7.5"}]
    else:
        changes = [{"rate_to_reporting": f"{float(row['rate_to_reporting']) * 1.1:.6f}"}]
    return row | random.choice(changes)


def moved(written: str, days: int) -> str:
    """The same time of another day, written the same way."""
    day = date.fromisoformat(written[:10]) + timedelta(days=days)
    return day.isoformat() + written[10:]


def has_versions(dataset: str) -> bool:
    return dataset in ("orders", "subscriptions")


def tells_the_present(dataset: str, row: Row) -> bool:
    """Whether a row of attributes comes from a source that has no `valid_from`, or corrects such a row."""
    return (dataset == "customers" and "valid_from" not in row) or (dataset == CORRECTIONS and not row["valid_from"])


def stamped(dataset: str, row: Row, night: int) -> Row:
    """With the `updated_at` of the night on which the version first came."""
    if not has_versions(dataset):
        return dict(row)
    updated_at = datetime.combine(date(2022, 1, 1) + timedelta(days=night), time(1))
    return row | {"updated_at": updated_at.isoformat() + "Z"}


def rows_in_force(nights: Iterable[Night]) -> Rows:
    """Of every key the version in force after these nights: the latest `updated_at`, else the last delivered."""
    found: dict[str, dict[tuple[Any, ...], Row]] = defaultdict(dict)
    for night in nights:
        for dataset, rows in night.rows.items():
            for row in rows:
                key = tuple(row.get(column, "") for column in KEYS[dataset])
                known = found[dataset].get(key)
                if known is None or row.get("updated_at", "") >= known.get("updated_at", ""):
                    found[dataset][key] = row
    return {dataset: list(rows.values()) for dataset, rows in found.items()}


def rows_known(nights: Iterable[Night]) -> Rows:
    """The rows in force; of customers that tell the present every version in order, with the instant of its delivery.

    A night's run is at 02:00 UTC of its as_of.
    """
    nights = list(nights)
    found = rows_in_force(nights)
    for dataset in ("customers", CORRECTIONS):
        versions = [
            row | {"delivered_at": f"{night.as_of}T02:00:00Z"}
            for night in nights
            for row in night.rows.get(dataset, ())
            if tells_the_present(dataset, row)
        ]
        if versions:
            dated = [row for row in found[dataset] if not tells_the_present(dataset, row)]
            found[dataset] = versions + dated
    return found
