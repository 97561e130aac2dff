"""A company full of twins, of any size: equal instants, amounts, spans and versions under other ids, as files.

Made by arithmetic, not by chance, so that a table of it can be written in another order of rows and is the same table.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from retention_pipeline.settings import Settings

AS_OF = date(2024, 6, 20)
FIRST = "date '2022-06-01'"
# Every query has a row per line of the file; {n} is the number of customers, `i` of the customer.
DATASETS = {
    # Six orders a customer: two at one instant of a day, two on another day under one amount, and twins of the first.
    "orders": f"""
        select format('o{{:07d}}', 6 * i + k) as order_id, format('c{{:06d}}', i) as customer_id,
            strftime({FIRST} + (i * 37 % 700 + (k // 3) * (i % 120))::int, '%Y-%m-%d')
                || case when k % 3 = 2 then '' else 'T10:00:00Z' end as ordered_at,
            case when i % 50 = 0 then '99999999.99' else printf('%.2f', (i % 7 + 1) * 5.0) end as amount,
            case when i % 11 = 0 then 'USD' else 'EUR' end as currency,
            case when i % 13 = 0 and k = 5 then 'refunded' else 'paid' end as status,
            ['web', 'app', 'shop'][i * k % 3 + 1] as channel, '2024-06-01T00:00:00Z' as updated_at
        from range({{n}}) as customers(i), range(6) as orders(k)
        where i % 3 <> 2
    """,
    # Twins of subscriptions: the same span twice, a third that begins and ends with an order's window, then open ones.
    "subscriptions": f"""
        select format('s{{:06d}}-{{}}', i, k) as subscription_id, format('c{{:06d}}', i) as customer_id,
            case when i % 5 = p then 'team' else 'basic' end as plan,
            printf('%.2f', (i % 4 + 1) * 9.0) as amount, '1' as quantity,
            case when i % 17 = 0 and k = 1 then 'USD' else 'EUR' end as currency,
            case when i % 6 = 0 then 'year' else 'month' end as interval,
            case when i % 9 = 0 and p = 1 then 'past_due' else 'active' end as status,
            strftime({FIRST} + (i * 37 % 700 + 90 * p + 120 * p * (i % 2))::int, '%Y-%m-%d') as started_at,
            case when p = 1 and i % 4 < 2 then null
                else strftime({FIRST} + (i * 37 % 700 + 90 + 90 * p + 120 * p * (i % 2))::int, '%Y-%m-%d')
            end as ended_at,
            case when i % 8 = 0 then 'payment_failed' when i % 8 = 1 then 'too_expensive' end as end_reason,
            '2024-06-01T00:00:00Z' as updated_at
        from range({{n}}) as customers(i), range(3) as subscriptions(k), range(2) as phases(p)
        where i % 3 <> 1
    """,
    # Three rows a customer, of which two come into force on one day and some at one instant.
    "customers": f"""
        select format('c{{:06d}}', i) as customer_id,
            ['', strftime({FIRST} + (i * 37 % 700 + 40)::int, '%Y-%m-%d'),
                strftime({FIRST} + (i * 37 % 700 + 40)::int, '%Y-%m-%d') || 'T00:00:00+02:00'][v + 1] as valid_from,
            ['NL', 'DE', 'FR'][(i + v) % 3 + 1] as country,
            ['ads', 'search', 'friends'][(i + v * (i % 2)) % 3 + 1] as acquisition_channel,
            '2024-06-01T00:00:00Z' as updated_at
        from range({{n}}) as customers(i), range(3) as versions(v)
        where i % 4 <> 3 or v = 0
    """,
    "customer_aliases": """
        select format('c{:06d}', i) as alias_id, format('c{:06d}', i + 1) as customer_id, '' as valid_from
        from range({n} - 1) as customers(i) where i % 97 = 5
    """,
    "fx_rates": f"""
        select strftime({FIRST} - 800 + day::int, '%Y-%m-%d') as date, 'USD' as currency,
            printf('%.4f', 0.9 + (day % 10) / 100.0) as rate_to_reporting
        from range(2200) as days(day)
    """,
}


def settings_of_twins() -> Settings:
    """Settings with every dataset and dimension that the twins have."""
    sources = {
        name: {"type": "files", "path": f"landing/{name}/*.csv", "timezone": "Europe/Amsterdam"} for name in DATASETS
    }
    return Settings.model_validate(
        {
            "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR", "renewal_min_term_months": 1},
            "segments": ["country", "acquisition_channel", "plan", "first_order_channel"],
            "sources": sources,
        }
    )


def deliver_twins(root: Path, customers: int, order: str) -> None:
    """Write the company's files, their rows in the order of an expression over `line`, the text of a row."""
    with duckdb.connect() as connection:
        for dataset, query in DATASETS.items():
            folder = root / "landing" / dataset
            folder.mkdir(parents=True)
            rows = f"select * from ({query.replace('{n}', str(customers))}) as line order by {order}"
            connection.execute(f"copy ({rows}) to '{folder / 'all.csv'}' (format csv, header)")
