"""Random goals and benchmarks of a made-up company: on the edges of periods and of as_of, empty, equal, impossible."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from oracle.business_days import GRAINS, next_period, period_start
from oracle.goals import BASES

Row = dict[str, str]
INDUSTRIES = ("retail", "saas")
# In order of code points, which is not that of a dictionary.
SOURCES = ("Beta", "Zeta report", "alpha study", "beta", "\u00e9tude")
VALUES = ("0", "0.05", "0.1", "0.5", "1", "3", "10", "-2.5", "100", "1000", "0.333333")
SEGMENTS = (
    ("country", ("NL", "DE", "(unknown)", "XX")),
    ("acquisition_channel", ("ads", "ref", "(unknown)")),
    ("plan", ("basic", "pro", "(unknown)")),
    ("first_order_channel", ("web", "(unknown)")),
    ("engagement_group", ("high", "low", "(none)")),
    ("nps_class", ("promoter", "(none)")),
)


def add_goals(random: Random, rows: dict[str, list[Row]], settings: dict[str, Any], first: date, as_of: date) -> None:
    """Goals, benchmarks and an industry for the company of these rows and settings."""
    if random.random() < 0.8:
        rows["kpi_targets"] = made_targets(random, settings["business"], first, as_of)
    if random.random() < 0.8:
        rows["kpi_benchmarks"] = made_benchmarks(random, first, as_of)
    for dataset in ("kpi_targets", "kpi_benchmarks"):
        if dataset in rows:
            settings["sources"][dataset] = {"type": "files", "path": f"landing/{dataset}/*.csv", "timezone": "UTC"}
    settings["business"]["industry"] = random.choice((None, "retail", "retail", "saas"))


def made_targets(random: Random, business: dict[str, Any], first: date, as_of: date) -> list[Row]:
    """Rows of `kpi_targets`, each key once."""
    rows: dict[tuple[str, ...], Row] = {}
    days = (as_of - first).days
    for _ in range(40):
        kpi = random.choice(list(BASES))
        grain = random.choice(GRAINS)
        basis = random.choice(("", "", random.choice(BASES[kpi])))
        dimension, values = random.choice(SEGMENTS)
        segment = random.choice((("", ""), ("", ""), ("all", "all"), (dimension, random.choice(values))))
        start_on = _edge(random, business, grain, first + timedelta(days=random.randrange(days)), as_of)
        due_on = _edge(random, business, grain, start_on + timedelta(days=random.choice((1, 30, 90, 365))), as_of)
        if random.random() < 0.15:
            # So many tenths of the time are over, which is where a status ends.
            length = random.choice((1, 3, 10))
            start_on = as_of - timedelta(days=random.randrange(11) * length)
            due_on = start_on + timedelta(days=10 * length)
        due_on = max(due_on, start_on + timedelta(days=1))
        target = random.choice(VALUES)
        row = {
            "kpi": kpi,
            "grain": grain,
            "basis": basis,
            "segment_dimension": segment[0],
            "segment_value": segment[1],
            "start_on": start_on.isoformat(),
            "due_on": due_on.isoformat(),
            "baseline": random.choice(("", "", random.choice(VALUES), target)),
            "target": target,
        }
        # Daily actives beside monthly ones of the same key, fewer, equal or (impossibly) more.
        monthly = row | {"kpi": "mau", "basis": random.choice(("", "all")), "target": random.choice(VALUES)}
        for one in (row, monthly) if kpi == "dau" else (row,):
            rows[_resolved(one)] = one
    return list(rows.values())


def _resolved(row: Row) -> tuple[str, ...]:
    """The key that the goal has once what is empty has its meaning."""
    basis = row["basis"] or BASES[row["kpi"]][0]
    segment = (row["segment_dimension"] or "all", row["segment_value"] or "all")
    return (row["kpi"], row["grain"], basis, *segment, row["start_on"])


def made_benchmarks(random: Random, first: date, last: date) -> list[Row]:
    """Rows of `kpi_benchmarks`: several sources and years of one KPI, years before, within and after the data."""
    rows: dict[tuple[str, ...], Row] = {}
    for _ in range(12):
        kpi, grain = random.choice(list(BASES)), random.choice(GRAINS)
        for _ in range(random.choice((1, 2, 5))):
            row = {
                "kpi": kpi,
                "grain": grain,
                "industry": random.choice(INDUSTRIES),
                "value": random.choice(VALUES),
                "source": random.choice(SOURCES),
                "year": str(random.randint(first.year - 1, last.year + 1)),
            }
            monthly = row | {"kpi": "mau", "value": random.choice(VALUES)}
            for one in (row, monthly) if kpi == "dau" else (row,):
                rows[one["kpi"], grain, row["industry"], row["source"], row["year"]] = one
    return list(rows.values())


def _edge(random: Random, business: dict[str, Any], grain: str, day: date, as_of: date) -> date:
    """The day, or one on or beside the end of its period or as_of."""
    if random.random() < 0.3:
        return day
    start = period_start(grain, day, business["week_start"], business["fiscal_year_start"])
    edge = random.choice((start, next_period(grain, start), next_period(grain, start), as_of))
    return edge + timedelta(days=random.choice((-1, 0, 0, 1)))
