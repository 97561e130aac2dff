"""Refunds of a made-up company that come as negative rows: of orders that there are, in parts, too much, of none."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from oracle.made_times import Clock

Row = dict[str, str]


def add_refund_rows(random: Random, clock: Clock, orders: list[Row]) -> None:
    """Rows in random order among the others; for orders of JPY there are no rates, and no refunds."""
    ids = sorted({row["customer_id"] for row in orders}) or [""]
    refunds: list[Row] = []
    for number, order in enumerate(orders):
        if random.random() < 0.75 or order["currency"] == "JPY":
            continue
        amount = abs(float(order["amount"]))
        for part in range(random.choice((1, 1, 1, 2, 3))):
            day = date.fromisoformat(order["ordered_at"][:10]) + timedelta(
                days=random.choice((-1, 0, 0, 1, 29, 90, 400))
            )
            back = random.choice((amount, amount / 2, amount / 3, 0.01, amount + 0.01, 1))
            refunds.append(
                dict.fromkeys(order, "")
                | {
                    "order_id": random.choice((f"r{number}-{part}", f"R{part}-{number}")),
                    "refund_of": random.choice((order["order_id"],) * 18 + ("no order", f"r{number}-0")),
                    "customer_id": random.choice((order["customer_id"], order["customer_id"], random.choice(ids), "")),
                    "ordered_at": clock.text(day)[0],
                    "amount": f"{-max(0.01, back):.2f}",
                    "currency": order["currency"] if random.random() < 0.95 else "EUR",
                    "status": random.choice(("paid",) * 6 + ("refunded", "refunded", "cancelled", "pending")),
                    "channel": random.choice(("web", "")),
                }
            )
            if random.random() < 0.05:
                refunds[-1]["is_test"] = "true"
    orders += refunds
    random.shuffle(orders)
