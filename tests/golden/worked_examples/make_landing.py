"""The rows of the worked examples: so many customers of a role, and what each of them does.

One group per line below; every customer of a group does the same. `write` turns the groups into
landing/<dataset>/worked_examples.csv. No figure is computed here.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple


class Phase(NamedTuple):
    """A paid phase: covers the days [first_day, day_after_last), "" = still open. Amount in EUR per interval."""

    first_day: str
    day_after_last: str
    amount: str
    interval: str = "month"
    end_reason: str = ""


class Answer(NamedTuple):
    """An answer of 15 March."""

    kind: str
    score: int
    scale_max: int


class Group(NamedTuple):
    """`how_many` customers of one role in one example: their phases (one subscription each), orders (day, EUR), answer
    and days of log-ins."""

    example: str
    role: str
    how_many: int
    phases: tuple[Phase, ...] = ()
    orders: tuple[tuple[str, str], ...] = ()
    answer: Answer | None = None
    log_ins: tuple[str, ...] = ()


JANUARY, OPEN = "2023-01-10", ""

GROUPS = (
    # S = 100, new 20, E = 120; and 100 customers who pay 50 a month
    Group("textbook", "stays", 100, phases=(Phase(JANUARY, OPEN, "50.00"),)),
    Group("textbook", "joins_in_march", 20, phases=(Phase("2023-03-10", OPEN, "50.00"),)),
    # S = 1000, 50 lost
    Group("thousand", "stays", 950, phases=(Phase(JANUARY, OPEN, "10.00"),)),
    Group("thousand", "too_expensive", 30, phases=(Phase(JANUARY, "2023-03-20", "10.00", "month", "too_expensive"),)),
    Group("thousand", "card_expires", 12, phases=(Phase(JANUARY, "2023-03-20", "10.00", "month", "payment_failed"),)),
    Group("thousand", "says_nothing", 8, phases=(Phase(JANUARY, "2023-03-20", "10.00"),)),
    # the variants of churn: S = 100, 30 join of whom 1 leaves again, 11 of the 100 end a span, 1 of them is back
    Group("variants", "stays", 89, phases=(Phase(JANUARY, OPEN, "20.00"),)),
    Group("variants", "leaves", 10, phases=(Phase(JANUARY, "2023-03-15", "20.00"),)),
    Group(
        "variants",
        "leaves_and_is_back",
        1,
        phases=(Phase(JANUARY, "2023-03-10", "20.00"), Phase("2023-03-20", OPEN, "20.00")),
    ),
    Group("variants", "joins", 29, phases=(Phase("2023-03-12", OPEN, "20.00"),)),
    Group("variants", "joins_and_leaves", 1, phases=(Phase("2023-03-12", "2023-03-25", "20.00"),)),
    # lost once in a quarter, though two spans end in it: the reason is that of the last one
    Group(
        "leaves_twice",
        "leaves_comes_back_and_leaves",
        1,
        phases=(
            Phase(JANUARY, "2023-04-15", "20.00", "month", "payment_failed"),
            Phase("2023-05-10", "2023-06-20", "20.00", "month", "too_expensive"),
        ),
    ),
    # an annual plan of 2,000
    Group("annual_plan", "pays_by_the_year", 1, phases=(Phase(JANUARY, OPEN, "2000.00", "year"),)),
    # arpc 50, margin 0.8, churn of 10 in 600 customer months
    Group("subscription_value", "stays", 90, phases=(Phase("2023-06-10", OPEN, "50.00"),)),
    Group("subscription_value", "leaves_in_december", 10, phases=(Phase("2023-06-10", "2023-12-15", "50.00"),)),
    # 200 of 1,000 bought again
    Group("bought_again", "buys_once", 800, orders=(("2023-03-05", "20.00"),)),
    Group("bought_again", "buys_twice", 200, orders=(("2023-03-05", "20.00"), ("2023-03-25", "30.00"))),
    # 50 an order x 4 orders a year x 5 years
    Group(
        "order_value",
        "buys_on",
        90,
        orders=(("2023-04-10", "50.00"), ("2023-07-01", "50.00"), ("2023-09-15", "50.00"), ("2023-12-01", "50.00")),
    ),
    Group(
        "order_value",
        "is_lost_in_december",
        10,
        orders=(("2023-03-05", "50.00"), ("2023-04-10", "50.00"), ("2023-07-01", "50.00"), ("2023-09-15", "50.00")),
    ),
    # an order of 1 January 2023 and a window of 90 days
    Group("new_years_day", "buys_on_new_years_day", 1, orders=(("2023-01-01", "10.00"),)),
    # 70 % promoters, 10 % detractors
    Group("scores", "promotes", 70, answer=Answer("nps", 10, 10)),
    Group("scores", "is_passive", 20, answer=Answer("nps", 8, 10)),
    Group("scores", "detracts", 10, answer=Answer("nps", 3, 10)),
    # 400 satisfied of 500
    Group("satisfaction", "is_satisfied", 400, answer=Answer("csat", 5, 5)),
    Group("satisfaction", "is_not", 100, answer=Answer("csat", 2, 5)),
    # active on 22 of the last 28 days
    Group("log_ins", "logs_in_often", 1, log_ins=tuple(f"2023-03-{day:02}" for day in range(4, 26))),
)  # fmt: skip


def write(landing: Path) -> None:
    """Write landing/{customers,subscriptions,orders,surveys,events}/worked_examples.csv."""
    customers, subscriptions, orders, surveys, events = [], [], [], [], []
    for group in GROUPS:
        for number in range(1, group.how_many + 1):
            customer = f"{group.example}/{group.role}/{number}"
            customers.append({"customer_id": customer, "example": group.example})
            for phase in group.phases:
                subscriptions.append(
                    {
                        "subscription_id": customer,
                        "customer_id": customer,
                        "plan": "standard",
                        "amount": phase.amount,
                        "currency": "EUR",
                        "interval": phase.interval,
                        "status": "active",
                        "started_at": phase.first_day,
                        "ended_at": phase.day_after_last,
                        "end_reason": phase.end_reason,
                    }
                )
            for order_number, (day, amount) in enumerate(group.orders, start=1):
                orders.append(
                    {
                        "order_id": f"{customer}/{order_number}",
                        "customer_id": customer,
                        "ordered_at": day,
                        "amount": amount,
                        "currency": "EUR",
                        "status": "paid",
                    }
                )
            if group.answer:
                answer = {"response_id": customer, "customer_id": customer, "responded_at": "2023-03-15"}
                surveys.append(answer | group.answer._asdict())
            for day in group.log_ins:
                event = {"event_id": f"{customer}/{day}", "customer_id": customer, "occurred_at": day, "event": "login"}
                events.append(event)
    delivered = {
        "customers": customers,
        "subscriptions": subscriptions,
        "orders": orders,
        "surveys": surveys,
        "events": events,
    }
    for dataset, rows in delivered.items():
        folder = landing / dataset
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "worked_examples.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
