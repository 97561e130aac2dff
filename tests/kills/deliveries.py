"""The home whose runs are killed, and the files that its night brings: new, late, corrected, moved and broken rows."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import yaml

from benchmarks.generate import generate, uniform, write_night
from benchmarks.sizes import AS_OF, SETTINGS, Size
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened_raw, sql_text

FIRST_DAY, NIGHT_DAY = AS_OF, AS_OF + timedelta(days=1)
AN_HOUR = 3600
SOURCES = ("orders", "subscriptions", "customers")


def make_home(root: Path, orders: int) -> Home:
    """A home with a history of `orders` orders in raw.duckdb, before its first run."""
    home = Home(root)
    generate(home, Size("kills", orders))
    settings = yaml.safe_load(SETTINGS) | {"exchange_from_rows": 0}
    for source in SOURCES:
        settings["sources"][source]["path"] = f"landing/{source}/*"
    home.settings_file.write_text(yaml.safe_dump(settings))
    return home


def deliver_night(home: Home, orders: int) -> dict[str, int]:
    """Put a night's files into landing/; the result counts the rows per file."""
    landing = home.root / "landing"
    for source in SOURCES:
        (landing / source).mkdir(parents=True, exist_ok=True)
    counts = {"new orders": write_night(home, Size("kills", orders))}
    with opened_raw(home) as connection:
        for file, rows in _changes(orders).items():
            kind = "(format json)" if file.endswith("jsonl") else ""
            copied = connection.execute(f"copy ({rows}) to {sql_text(str(landing / file))} {kind}").fetchone()
            counts[file] = int(copied[0]) if copied else 0
    _spoil(landing / "orders" / "some_broken.csv")
    for path in landing.rglob("*.*"):
        before = path.stat().st_mtime - AN_HOUR  # delivered long enough ago
        os.utime(path, (before, before))
    return counts


def _changes(orders: int) -> dict[str, str]:
    """Per file SQL for its rows, made from what is in raw: of a small home larger shares, so that there are some."""
    more = max(1, 4_000 / orders)
    day = f"timestamp '{AS_OF}'"
    order, subscription, customer = (
        f"(hash({key}) % 1000000007)" for key in ("order_id", "subscription_id", "customer_id")
    )
    return {
        "orders/corrected.parquet": f"""
            select order_id, customer_id, ordered_at, amount + 1 as amount, currency, 'paid' as status, channel,
                {day} as updated_at
            from raw.orders where {uniform(order, 51)} < {0.01 * more}""",
        "orders/moved.csv": f"""
            select order_id, 'C' || floor(1000 * {uniform(order, 52)}) as customer_id, ordered_at, amount, currency,
                status, {day} as updated_at
            from raw.orders where {uniform(order, 53)} < {0.001 * more}""",
        "subscriptions/ended.parquet": f"""
            select subscription_id, customer_id, plan, amount, quantity, recurring_discount, currency, "interval",
                interval_count, status, started_at, {day} - interval 3 day as ended_at, 'too_expensive' as end_reason,
                {day} as updated_at
            from raw.subscriptions
            where ended_at is null and started_at < {day} - interval 9 day
                and {uniform(subscription, 54)} < {0.05 * more}""",
        "customers/moved.jsonl": f"""
            select customer_id, signed_up_at, 'AT' as country, acquisition_channel,
                {day} - to_days(cast(400 * {uniform(customer, 55)} as int)) as valid_from
            from raw.customers where valid_from is null and {uniform(customer, 56)} < {0.01 * more}""",
    }


def _spoil(file: Path) -> None:
    """Forty orders, two of which are refused."""
    rows = [f"B{number},C{number},2024-12-{1 + number % 28:02},9.50,EUR,paid" for number in range(38)]
    rows += ["B38,C38,2024-12-24,nine,EUR,paid", "B39,C39,2024-12-24,9.50,EUR,perhaps"]
    file.write_text("\n".join(["order_id,customer_id,ordered_at,amount,currency,status", *rows]) + "\n")
