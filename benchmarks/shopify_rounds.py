"""The same orders as Shopify exports them and as plain files; each is loaded into a new home, in rounds that alternate.

`export`: as Shopify writes it (79 columns, on the lines after an order's first nearly all of them blank), loaded by the
template's `orders`. `orders`: the same columns with one line per order, by a plain mapping. `narrow`: of these only the
columns that are mapped. `lines`: the lines of the export, each with a key of its own, by the same mapping: what as many
lines cost without a query. Seconds are of `ingest` alone, by the processor.
"""

import argparse
import json
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import yaml
from rich.console import Console

from benchmarks.ingest_work import cpu_seconds, fresh_home
from benchmarks.measure import machine, measured
from retention_pipeline import templates
from retention_pipeline.ingest import ingest
from retention_pipeline.settings import Home, parse_settings

LINES = {"100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
LINES_OF_AN_ORDER = 2.4  # on average; of Shopify's test shop 121 lines are 51 orders
TARGET = 1.5
HEADER = """Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,Currency,Subtotal,
Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,
Lineitem price,Lineitem compare at price,Lineitem sku,Lineitem requires shipping,Lineitem taxable,
Lineitem fulfillment status,
Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,Billing City,Billing Zip,Billing Province,
Billing Country,Billing Phone,Shipping Name,Shipping Street,Shipping Address1,Shipping Address2,Shipping Company,
Shipping City,Shipping Zip,Shipping Province,Shipping Country,Shipping Phone,Notes,Note Attributes,Cancelled at,
Payment Method,Payment Reference,Refunded Amount,Vendor,Outstanding Balance,Employee,Location,Device ID,Id,Tags,
Risk Level,Source,Lineitem discount,Tax 1 Name,Tax 1 Value,Tax 2 Name,Tax 2 Value,Tax 3 Name,Tax 3 Value,Tax 4 Name,
Tax 4 Value,Tax 5 Name,Tax 5 Value,Phone,Receipt Number,Duties,Billing Province Name,Shipping Province Name,Payment ID,
Payment Terms Name,Next Payment Due At,Payment References""".replace("\n", "").split(",")
OF_AN_ORDER = {
    "Financial Status": "'paid'",
    "Paid at": "moment",
    "Fulfillment Status": "'fulfilled'",
    "Fulfilled at": "moment",
    "Accepts Marketing": "'no'",
    "Currency": "'EUR'",
    "Subtotal": "total",
    "Shipping": "'0.00'",
    "Taxes": "'0.00'",
    "Total": "total",
    "Discount Amount": "'0.00'",
    "Shipping Method": "'Standard'",
    "Billing Name": "'Customer ' || customer",
    "Billing Street": "'Main Street ' || customer % 200",
    "Billing Address1": "'Main Street ' || customer % 200",
    "Billing City": "'Utrecht'",
    "Billing Zip": "'''3511'",
    "Billing Country": "(['NL', 'DE', 'BE', 'FR'])[1 + customer % 4]",
    "Shipping Name": "'Customer ' || customer",
    "Shipping Street": "'Main Street ' || customer % 200",
    "Shipping City": "'Utrecht'",
    "Shipping Country": "(['NL', 'DE', 'BE', 'FR'])[1 + customer % 4]",
    "Payment Method": "'Shopify Payments'",
    "Payment Reference": "'#' || number || '.1'",
    "Refunded Amount": "'0.00'",
    "Outstanding Balance": "'0.00'",
    "Id": "5000000000000 + number",
    "Risk Level": "'Low'",
    "Source": "(['web', 'pos', 'shopify_draft_order'])[1 + number % 3]",
    "Payment ID": "'c' || number",
}
OF_A_LINE = {
    "Name": "'#' || number",
    "Email": "'customer' || customer || '@shop.test'",
    "Created at": "moment",
    "Lineitem quantity": "'1'",
    "Lineitem name": "'Coffee, ' || line",
    "Lineitem price": "'9.50'",
    "Lineitem sku": "'SKU-' || number % 100",
    "Lineitem requires shipping": "'true'",
    "Lineitem taxable": "'true'",
    "Lineitem fulfillment status": "'fulfilled'",
    "Vendor": "'Roastery'",
    "Lineitem discount": "'0.00'",
}
PLAIN = {"customer_id": "Email", "ordered_at": "Created at", "amount": "Total", "currency": "Currency",
         "status": "Financial Status", "refunded_amount": "Refunded Amount", "channel": "Source"}  # fmt: skip
console = Console(soft_wrap=True)


def make_export(path: Path, lines: int, kind: str) -> dict[str, Any]:
    """Write one of the files; the result is the number of orders that it becomes."""
    orders = int(lines / LINES_OF_AN_ORDER)
    first_line = f"cast(floor(number * {LINES_OF_AN_ORDER}) as bigint)"
    blank = {name: "null" for name in HEADER}
    first = {name: f"case when line = 0 then {value} end" for name, value in OF_AN_ORDER.items()}
    each = blank | first | OF_A_LINE
    if kind == "lines":
        each |= OF_AN_ORDER | {"Name": "'#' || number || '-' || line"}
    if kind == "narrow":
        each = {name: each[name] for name in ("Name", *PLAIN.values())}
    listed = ", ".join(f'{value} as "{name}"' for name, value in each.items())
    next_line = f"cast(floor((number + 1) * {LINES_OF_AN_ORDER}) as bigint)"
    many = "1" if kind in ("orders", "narrow") else f"{next_line} - {first_line}"
    with duckdb.connect() as connection:
        connection.execute(f"""
            copy (
                select {listed} from (
                    select *, unnest(range(many)) as line from (
                        select range as number, {many} as many,
                            cast(hash(range) % {orders // 4 + 1} as bigint) as customer,
                            strftime(timestamp '2023-01-01' + to_seconds(range * 90000000 // {orders}),
                                '%Y-%m-%d %H:%M:%S +0100') as moment,
                            cast(5 + range % 9000 / 100 as decimal(9, 2)) as total
                        from range({orders}) as numbers (range)
                    ) as _ (number, many, customer, moment, total)
                ) order by number, line
            ) to '{path}' (format csv, header)
        """)
    return {"orders": int(orders * LINES_OF_AN_ORDER) if kind == "lines" else orders}


def settings_of(kind: str, path: Path) -> dict[str, Any]:
    """The template, or the plain mapping of the same columns."""
    settings = yaml.safe_load(templates.text("shopify-export"))
    settings["sources"] = {"orders": settings["sources"]["orders"] | {"path": str(path)}}
    if kind != "export":
        settings["sources"]["orders"] = {"type": "files", "path": str(path), "columns": {"order_id": "Name", **PLAIN}}
    return settings


def load(root: Path, kind: str, path: Path) -> dict[str, Any]:
    """`ingest` of one of the files into a new home."""
    fresh_home(root)
    before = cpu_seconds()
    result = ingest(Home(root), parse_settings(settings_of(kind, path)), now=datetime(2026, 1, 2, 3))
    assert all(one.status == "loaded" for one in result.loads), result.loads
    orders = next(one for one in result.loads if one.dataset == "orders")
    return {"cpu": cpu_seconds() - before, "orders": orders.good}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description="Measure the template of Shopify's export.")
    parser.add_argument("--size", choices=list(LINES), default="1m")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=["export", "orders", "narrow", "lines"])
    parser.add_argument("--folder", default="bench", help="where the results go")
    arguments = parser.parse_args()
    lines = LINES[arguments.size]
    best: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-shopify-") as scratch:
        folder = Path(scratch)
        paths = {kind: folder / f"orders_export_{kind}.csv" for kind in arguments.only}
        made = {kind: measured("make", make_export, path, lines, kind).result for kind, path in paths.items()}
        for _ in range(arguments.rounds):
            for kind, path in paths.items():
                done = measured(kind, load, folder / "home", kind, path)
                shutil.rmtree(folder / "home")
                assert done.result["orders"] == made[kind]["orders"], done
                console.print(f"{kind}: {done.wall:.1f} s, {done.result['cpu']:.1f} CPU s, {done.peak_mb:,} MB")
                if kind not in best or done.result["cpu"] < best[kind]["cpu"]:
                    best[kind] = {**done.result, "wall": done.wall, "peak_mb": done.peak_mb,
                                  "bytes": path.stat().st_size}  # fmt: skip
    ratios = {kind: round(best["export"]["cpu"] / best[kind]["cpu"], 2) for kind in best}
    console.print(f"[bold]template / plain mapping: {ratios} (target of the same orders: {TARGET})[/bold]")
    kept = Path(arguments.folder) / f"shopify-{arguments.size}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "load": os.getloadavg()[0], "lines": lines, "ratios": ratios, **best}
    kept.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
