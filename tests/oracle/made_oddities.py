"""What sources do to rows that are otherwise made: ids of every form, and columns that are not delivered at all."""

from __future__ import annotations

from random import Random

Rows = dict[str, list[dict[str, str]]]
# Optional columns that a source may lack, by dataset; not those of dimensions, which are left out with them.
OPTIONAL = {
    "orders": ("is_test", "refunded_at"),
    "subscriptions": ("term_ends_at", "cancel_requested_at", "end_reason"),
    "customers": ("signed_up_at", "referred_by"),
    "payments": ("failure_reason",),
    "tickets": ("reason", "first_reply_at"),
    "events": ("duration_seconds",),
    "emails": ("is_machine",),
}


def with_oddities(random: Random, rows: Rows) -> Rows:
    """The rows, at times without some optional columns, and with order ids that sort by nothing but code points."""
    missing = {
        (dataset, column)
        for dataset, columns in OPTIONAL.items()
        for column in columns
        if dataset in rows and random.random() < 0.05
    }
    given = {
        dataset: [
            {column: text for column, text in row.items() if (dataset, column) not in missing} for row in of_dataset
        ]
        for dataset, of_dataset in rows.items()
    }
    for row in given.get("orders", []):
        number = row["order_id"].lstrip("o")
        row["order_id"] = random.choice((row["order_id"], f"O{int(number)}", f"o{int(number)}x", f"\u00e9{number}"))
    return given
