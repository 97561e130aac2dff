"""Customers of a made-up company who stand on the edges of what is asked at as_of: profiles, risks, actions, curves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from oracle.business_days import DAY, add_months
from oracle.made_times import Clock

Row = dict[str, str]
Rows = dict[str, list[Row]]
ACTIONS = {
    "ticket_reminder": (0, 1, 2, 3, 30),
    "purchase_follow_up": (0, 1, 6, 7, 8, 30),
    "payment_failed": (0, 1, 8),
    "renewal_due": (0, 1, 30, 31, 200),
}
AROUND = (-1, 0, 1)


def made_actions(random: Random) -> dict[str, int]:
    """The setting `actions`: some of them, in any order, with any days."""
    return {action: random.choice(ACTIONS[action]) for action in random.sample(list(ACTIONS), random.randint(1, 4))}


class Edges:
    """Days that decide, and rows of a dataset that lie on them."""

    def __init__(self, random: Random, settings: dict[str, Any], as_of: date) -> None:
        self.random, self.business, self.as_of = random, settings["business"], as_of
        self.actions = {action: days[0] for action, days in ACTIONS.items()} | settings.get("actions", {})
        self.zone = ZoneInfo(self.business["timezone"])
        self.midnight = datetime.combine(as_of, time.min, self.zone).astimezone(UTC)
        self.clocks = {
            name: Clock(random, self.business["timezone"], source["timezone"])
            for name, source in settings["sources"].items()
        }
        start = self.business.get("data_start")
        self.data_start = date.fromisoformat(start) if start else None
        self.month = (as_of - DAY).replace(day=1)

    def ago(self, *days: int) -> date:
        """About so many days before as_of."""
        return self.as_of - timedelta(days=self.random.choice(days) + self.random.choice(AROUND))

    def begin(self) -> date:
        """A day on which spans, counts and looks back begin."""
        window = self.business["activity_window_days"]
        around = self.random.choice(AROUND)
        days = [self.month, *[add_months(self.as_of, -12), self.as_of - timedelta(days=365)] * 2]
        days += [self.as_of - timedelta(days=number) for number in (1, 2, 8, window, 2 * window)]
        if self.data_start:
            days += [self.data_start, self.data_start + timedelta(days=window)] * 2
        return self.random.choice(days) + timedelta(days=around)

    def purchase_days(self, usual: int) -> list[date]:
        """On the edges; or so far apart that the wait until as_of is about twice the mean gap, or the usual one."""
        random = self.random
        if random.random() < 0.3:
            return [self.begin() for _ in range(random.randint(0, 4))]
        if random.random() < 0.35:
            follow_up = self.actions["purchase_follow_up"]
            return [self.ago(*[follow_up, follow_up + 7] * 2, usual, usual, usual)]
        longest = max(1, self.business["activity_window_days"] // 2)
        gaps = [random.randint(1, longest) for _ in range(random.choice((1, 2, 2, 3, 4)))]
        days = [self.as_of - timedelta(days=max(1, 2 * sum(gaps) // len(gaps) + random.choice(AROUND)))]
        for gap in gaps:
            days.append(days[-1] - timedelta(days=gap))
        return days

    def orders(self, ids: list[str], number: int, others: list[Row]) -> list[Row]:
        """Few amounts, so that customers are alike in R, F and M."""
        random = self.random
        amount = random.choice(("10.00", "20.00"))
        rows: list[Row] = []
        for day in self.purchase_days(usual_gap(others)):
            rows.append(
                {
                    "order_id": f"e{number}-{len(rows)}",
                    "customer_id": random.choice(ids),
                    "ordered_at": self.clocks["orders"].text(day)[0],
                    "amount": amount,
                    "currency": "EUR",
                    "status": "paid",
                    "refunded_amount": "",
                    "refunded_at": "",
                    "is_test": "",
                    "channel": random.choice(("web", "app", "")),
                }
            )
        return rows

    def subscriptions(self, ids: list[str], number: int, others: list[Row]) -> list[Row]:
        """Phases whose last one goes on at as_of, or ends there: after a pause, in arrears, at the end of a term, with
        a request to cancel before, on and after the first day of the run that counts.
        """
        random, clock = self.random, self.clocks["subscriptions"]
        arrears = random.random() < 0.4
        last = (
            self.ago(self.business["count_past_due_days"], 2)
            if arrears
            else random.choice((self.begin(), self.ago(20)))
        )
        middle = last if arrears else last - timedelta(days=random.choice((0, 0, 1, 5)))
        first = middle - timedelta(days=random.choice((1, 30, 90, 200)))
        requests = [last + timedelta(days=random.choice(AROUND)), first, self.ago(0, 1)]
        phases = [
            (first, middle, "active"),
            (middle, middle, "active"),  # has no days; what its row requests is asked for all the same
            (middle, last, random.choice(("paused", "active"))),
            (last, self.as_of + timedelta(days=random.choice((-1, 0, 1, 10))), "past_due" if arrears else "active"),
        ]
        interval, count = random.choice((("month", 1), ("month", 3), ("year", 1), ("day", 100), ("week", 9)))
        rows: dict[str, Row] = {}
        customer = random.choice(ids)  # one: nothing says whose a request is that two customers made for a subscription
        for start, end, status in phases:
            # A moment of its own per row: the key of a phase is when it started.
            started = datetime.combine(start, time(1, len(rows)), self.zone).astimezone(UTC).isoformat()
            ends = random.random() < 0.7 or start == end
            rows[started] = {
                "subscription_id": f"e{number}",
                "customer_id": customer,
                "plan": random.choice(("basic", "pro")),
                "amount": "30.00",
                "quantity": "1",
                "recurring_discount": "",
                "currency": "EUR",
                "interval": interval,
                "interval_count": str(count),
                "status": status,
                "started_at": started,
                "ended_at": started if start == end else clock.text(end)[0] if ends and end > start else "",
                "term_ends_at": clock.text(self.ago(0, -self.actions["renewal_due"]))[0]
                if random.random() < 0.6
                else "",
                "cancel_requested_at": clock.text(random.choice(requests))[0] if random.random() < 0.3 else "",
                "end_reason": random.choice(("", "", "payment_failed", "odd", "unclear", "competitor")),
            }
        return list(rows.values())

    def tickets(self, ids: list[str], number: int, others: list[Row]) -> list[Row]:
        """Opened about 48 hours before as_of begins, resolved about then."""
        random = self.random
        rows: list[Row] = []
        for _ in range(random.randint(0, 2)):
            second = timedelta(seconds=random.choice(AROUND))
            opened = [(self.midnight - timedelta(hours=48) + second).isoformat()] * 2
            opened += [min(self.ago(2, self.actions["ticket_reminder"]), self.as_of - 2 * DAY).isoformat()]
            resolved = ["", "", (self.midnight + second).isoformat(), self.ago(0).isoformat()]
            rows.append(
                {
                    "ticket_id": f"e{number}-{len(rows)}",
                    "customer_id": random.choice(ids),
                    "opened_at": random.choice(opened),
                    "first_reply_at": "",
                    "resolved_at": random.choice(resolved),
                    "reason": "",
                }
            )
        return rows

    def surveys(self, ids: list[str], number: int, others: list[Row]) -> list[Row]:
        """About 180 days and a year ago; several at the same moment."""
        random = self.random
        rows: list[Row] = []
        written = [self.clocks["surveys"].text(self.ago(180, 180, 1, 365))[0] for _ in range(2)]
        for _ in range(random.randint(0, 3)):
            rows.append(
                {
                    "response_id": f"e{number}-{10 - len(rows)}",
                    "customer_id": random.choice(ids),
                    "responded_at": random.choice(written),
                    "kind": random.choice(("nps", "nps", "nps", "csat")),
                    "score": random.choice(("6", "7", "9")),
                    "scale_max": "10",
                }
            )
        return rows

    def payments(self, ids: list[str], number: int, others: list[Row]) -> list[Row]:
        """The first attempt at the end of what may be recovered, the last about as_of; an invoice called like a payment
        that has none.
        """
        random = self.random
        rows: list[Row] = []
        recovery = self.business.get("payment_recovery_days", 30)
        for _ in range(random.randint(0, 3)):
            invoice = random.choice(("", f"e{number}", f"e{number}-0"))
            day = self.ago(recovery, recovery, 1)
            rows.append(
                {
                    "payment_id": f"e{number}-{len(rows)}",
                    "invoice_id": invoice,
                    "customer_id": random.choice([*ids, *ids, ""]),
                    "attempted_at": random.choice((day.isoformat(), self.clocks["payments"].text(day)[0])),
                    "status": random.choice(("failed", "failed", "failed", "succeeded")),
                    "failure_reason": "",
                }
            )
        return rows

    def events(self, ids: list[str], number: int, others: list[Row]) -> list[Row]:
        """The last active day about mau_days ago."""
        random = self.random
        rows: list[Row] = []
        for _ in range(random.randint(0, 2)):
            rows.append(
                {
                    "event_id": f"e{number}-{len(rows)}",
                    "customer_id": random.choice(ids),
                    "occurred_at": self.clocks["events"].text(self.ago(self.business["mau_days"]))[0],
                    "event": random.choice(("login", "export")),
                    "duration_seconds": "",
                }
            )
        return rows


def add_edges(random: Random, rows: Rows, settings: dict[str, Any], as_of: date, customers: int) -> None:
    """So many customers more, some of them under two ids, with rows in every connected dataset."""
    edges = Edges(random, settings, as_of)
    make: dict[str, Callable[[list[str], int, list[Row]], list[Row]]] = {
        "orders": edges.orders,
        "subscriptions": edges.subscriptions,
        "tickets": edges.tickets,
        "surveys": edges.surveys,
        "payments": edges.payments,
        "events": edges.events,
    }
    for number in range(customers):
        ids = [f"e{number:03d}"]
        if "customer_aliases" in rows and random.random() < 0.3:
            ids.append(f"e{number:03d}x")
            row = {
                "alias_id": ids[1],
                "customer_id": ids[0],
                "valid_from": random.choice(("", edges.ago(0).isoformat())),
            }
            rows["customer_aliases"].append(row)
        for dataset, rows_of in make.items():
            if dataset in rows and random.random() < 0.75:
                delivered = {column for row in rows[dataset] for column in row}
                for row in rows_of(ids, number, rows[dataset]):
                    rows[dataset].append(
                        {column: row[column] for column in row if column in delivered or not delivered}
                    )
        if "customers" in rows and random.random() < 0.8:
            rows["customers"] += attributes(random, rows["customers"], ids[0], edges.begin())


def usual_gap(orders: list[Row]) -> int:
    """About the gap between purchases that one of ten exceeds; not every row counts."""
    days: dict[str, set[date]] = defaultdict(set)
    for row in orders:
        days[row["customer_id"]].add(date.fromisoformat(row["ordered_at"][:10]))
    gaps = sorted((later - earlier).days for found in days.values() for earlier, later in pairwise(sorted(found)))
    return gaps[len(gaps) * 9 // 10] if gaps else 1


def attributes(random: Random, others: list[Row], customer: str, day: date) -> list[Row]:
    """One or two rows of the columns that others have; the second is in force from one of the deciding days."""
    columns = list(dict.fromkeys(column for row in others for column in row)) or ["customer_id", "country"]
    texts = {name: sorted({row.get(name, "") for row in others}) or ["NL"] for name in columns}
    found: list[Row] = []
    for valid_from in ("", day.isoformat()):
        row = {name: random.choice(texts[name]) for name in columns} | {"customer_id": customer}
        if "valid_from" in row:
            row["valid_from"] = valid_from
        elif found:
            break
        found.append(row)
    return found
