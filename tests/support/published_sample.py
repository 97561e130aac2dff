"""A small published generation, written by hand: two bases, 14 months, one dimension. For tests of what reads it."""

import shutil
import tempfile
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from retention_pipeline.kpis.definitions import write_definitions
from retention_pipeline.kpis.store import COLUMNS
from retention_pipeline.publish import quality
from retention_pipeline.settings import Home

AS_OF = date(2024, 3, 10)
SETTINGS = """
business: {timezone: Europe/Amsterdam, reporting_currency: EUR}
sources:
  orders: {type: files, path: landing/orders/*.csv, timezone: UTC}
"""
# kpi, basis, unit, value in February 2024 (the last complete month), step from month to month
FIGURES = (
    ("customers_start", "order", "count", 1000, 10),
    ("customers_new", "order", "count", 80, 0),
    ("customers_reactivated", "order", "count", 20, 0),
    ("customers_lost", "order", "count", 50, 0),
    ("customers_end", "order", "count", 1050, 10),
    ("customer_retention_rate", "order", "ratio", 0.95, 0.01),
    ("customer_churn_rate", "order", "ratio", 0.05, -0.01),
    ("customers_start", "subscription", "count", 100, 1),
    ("customers_new", "subscription", "count", 12, 0),
    ("customers_reactivated", "subscription", "count", 1, 0),
    ("customers_lost", "subscription", "count", 3, 0),
    ("customers_end", "subscription", "count", 110, 1),
    ("customer_churn_rate", "subscription", "ratio", 0.03, 0.0),
    ("customers_end", "any", "count", 1120, 1),
    ("order_revenue", "order", "money", 23456.78, 500.0),
    ("purchase_frequency", "order", "ratio", 1.4, 0.0),
    ("mrr_start", "subscription", "money", 5000.0, 100.0),
    ("mrr_new", "subscription", "money", 600.0, 0.0),
    ("mrr_reactivation", "subscription", "money", 50.0, 0.0),
    ("mrr_expansion", "subscription", "money", 150.0, 0.0),
    ("mrr_contraction", "subscription", "money", 100.0, 0.0),
    ("mrr_churn", "subscription", "money", 200.0, 0.0),
    ("mrr_fx", "subscription", "money", 0.0, 0.0),
    ("mrr_end", "subscription", "money", 5500.0, 100.0),
    ("clv", "order", "money", None, 0.0),
)


def months(first: date, count: int) -> list[date]:
    """First days of `count` months."""
    return [date(first.year + (first.month - 1 + i) // 12, (first.month - 1 + i) % 12 + 1, 1) for i in range(count)]


def make_published(root: Path) -> Home:
    """Write settings.yaml and published/current.duckdb below `root`."""
    shutil.copytree(_made_once().name, root, symlinks=True)
    return Home(root.resolve())


@cache
def _made_once() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    _write(Home(Path(folder.name)))
    return folder


def _write(home: Home) -> None:
    home.published.mkdir(parents=True)
    home.settings_file.write_text(SETTINGS)
    with duckdb.connect(str(home.published / "g3.duckdb")) as connection:
        connection.execute("begin")
        write_definitions(connection)
        connection.execute(f"create table retention_kpis ({', '.join(f'{n} {t}' for n, t in COLUMNS.items())})")
        rows = [row for figure in FIGURES for row in _rows(*figure)]
        connection.executemany(f"insert into retention_kpis values ({', '.join('?' * len(COLUMNS))})", rows)
        connection.execute(
            "create table pipeline_state as select 3::bigint as generation, 7::bigint as applied_load_id, "
            "?::date as as_of, 'a' as settings_fingerprint, 'b' as code_fingerprint, 'c' as kpi_fingerprint, "
            "'r1' as run_id, ?::timestamp as built_at",
            [AS_OF, datetime(2024, 3, 10, 1, 0)],
        )
        connection.execute("create table int_customers as select 1::bigint as customer_key, 'ada' as customer_id")
        connection.execute(quality.CREATE)
        connection.execute("insert into data_quality values ('orders', 'rows', '', 5, null, 'current rows')")
        connection.execute("create view customers_in_period as select * from int_customers")
        connection.execute("commit")
        connection.execute(
            "create table periods as select distinct grain, period_start, period_end, is_complete from retention_kpis"
        )
    home.current.symlink_to("g3.duckdb")


def _rows(kpi: str, basis: str, unit: str, value: float | None, step: float) -> list[tuple[Any, ...]]:
    starts = months(date(2023, 2, 1), 14)
    found = []
    for position, start in enumerate(starts):
        end = months(start, 2)[1]
        behind = len(starts) - 2 - position
        for dimension, member, share in (("all", "all", 1.0), ("country", "NL", 0.6), ("country", "(unknown)", 0.4)):
            shown = None if value is None else value - behind * step
            if shown is not None and unit != "ratio":
                shown *= share
            found.append(
                (
                    kpi,
                    "month",
                    start,
                    end,
                    basis,
                    dimension,
                    member,
                    shown,
                    None if unit != "ratio" or shown is None else shown * 1000 * share,
                    None if unit != "ratio" else 1000 * share,
                    None if unit != "ratio" else round(1000 * share),
                    shown and shown - 0.01 if kpi == "customer_churn_rate" else None,
                    shown and shown + 0.01 if kpi == "customer_churn_rate" else None,
                    unit,
                    "EUR" if unit == "money" else None,
                    end <= AS_OF,
                    "small_n" if value is None else None,
                    1,
                    AS_OF,
                    datetime(2024, 3, 10, 1, 0),
                    "r1",
                )
            )
    return found
