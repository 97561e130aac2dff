"""What a size means, and the settings of the home that is measured."""

from dataclasses import dataclass
from datetime import date

FIRST_DAY = date(2020, 1, 1)
AS_OF = date(2025, 1, 1)
TIMEZONE = "Europe/Amsterdam"
ACTIVITY_WINDOW_DAYS = 90
COUNT_PAST_DUE_DAYS = 30
MONTHS = 60
BACKFILLED = (date(2021, 1, 1), date(2023, 12, 1))  # 36 of them


@dataclass(frozen=True)
class Size:
    """Orders in the whole history; a tenth as many customers, a fifth of whom subscribe. A night brings 1/1000, at most
    100,000 orders.
    """

    name: str
    orders: int

    @property
    def customers(self) -> int:
        return self.orders // 10

    @property
    def night_orders(self) -> int:
        return min(100_000, self.orders // 10)


SIZES = {
    size.name: size
    for size in (
        Size("10k", 10_000),  # for the tests
        Size("1m", 1_000_000),
        Size("10m", 10_000_000),
        Size("100m", 100_000_000),
    )
}

SETTINGS = f"""\
business:
  timezone: {TIMEZONE}
  reporting_currency: EUR
  activity_window_days: {ACTIVITY_WINDOW_DAYS}
  count_past_due_days: {COUNT_PAST_DUE_DAYS}
segments: [country, acquisition_channel, plan, first_order_channel]
sources:
  orders: {{type: files, path: landing/orders/*.csv, timezone: UTC}}
  subscriptions: {{type: files, path: landing/subscriptions/*.csv, timezone: UTC}}
  customers: {{type: files, path: landing/customers/*.csv, timezone: UTC}}
"""
