"""A shop of eight customers in four months, orders and subscriptions: what Dagster and the command are tested on."""

from datetime import date
from pathlib import Path

from retention_pipeline.settings import Home

AS_OF = date(2024, 5, 10)
MONTHS = ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"]
SETTINGS = """
business: {timezone: Europe/Amsterdam, reporting_currency: EUR, min_n: 1}
history_start: 2024-01-01
sources:
  orders: {type: files, path: landing/orders/*.csv, timezone: Europe/Amsterdam}
  subscriptions: {type: files, path: landing/subscriptions/*.csv, timezone: Europe/Amsterdam}
"""
ORDERS = """order_id,customer_id,ordered_at,amount,currency,status
1,stays,2024-01-05 10:00:00,20.00,EUR,paid
2,stays,2024-02-05 10:00:00,20.00,EUR,paid
3,stays,2024-03-05 10:00:00,20.00,EUR,paid
4,stays,2024-04-05 10:00:00,20.00,EUR,paid
5,leaves,2024-01-07 23:59:59,35.50,EUR,paid
6,buys_once,2024-02-20 09:00:00,12.00,EUR,paid
7,cancels,2024-03-01 09:00:00,99.00,EUR,cancelled
8,comes_late,2024-04-30 12:00:00,50.00,EUR,paid
"""
SUBSCRIPTIONS = """subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at
s1,subscribes,basic,10.00,EUR,month,active,2024-01-10,
s2,upgrades,basic,10.00,EUR,month,active,2024-01-15,2024-03-01
s2,upgrades,plus,25.00,EUR,month,active,2024-03-01,
s3,quits,basic,10.00,EUR,month,active,2024-02-01,2024-04-01
"""
LATE_ORDER = """order_id,customer_id,ordered_at,amount,currency,status
9,buys_once,2024-02-21 09:00:00,8.00,EUR,paid
"""


def open_shop(root: Path, *, schedule: str = "0 2 * * *") -> Home:
    """Write the shop's settings and what its systems delivered."""
    home = Home(root.resolve())
    home.root.mkdir(parents=True)
    home.settings_file.write_text(f'{SETTINGS}schedule: {{cron: "{schedule}"}}\n')
    deliver(home, "orders", "orders.csv", ORDERS)
    deliver(home, "subscriptions", "subscriptions.csv", SUBSCRIPTIONS)
    return home


def deliver(home: Home, dataset: str, name: str, content: str) -> None:
    """Put a file into the landing folder."""
    folder = home.root / "landing" / dataset
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
