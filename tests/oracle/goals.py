"""Goals and benchmarks: what figures are held against, and how far they are from it.

A row stands under (table, *key); TABLES names the keys.
"""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from oracle.answers import Answer, Key
from oracle.business_days import next_period
from oracle.rules import Rules

Cells = dict[tuple[Any, ...], dict[str, Any]]
Row = dict[str, Any]
Answers = dict[Key, Answer]
TABLES: dict[str, tuple[str, ...]] = {
    "kpi_attainment": ("kpi", "grain", "basis", "segment_dimension", "segment_value", "start_on"),
    "kpi_with_benchmark": ("kpi", "grain", "period_start", "basis"),
}
# KPIs that goals may be set for, by the bases that they have; the first is that of a goal without one.
BASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "customers_start",
            "customers_end",
            "customers_new",
            "customer_retention_rate",
            "customer_churn_rate",
            "churn_rate_stripe",
            "customer_lifespan_years",
        ),
        ("any", "order", "subscription"),
    ),
    **dict.fromkeys(
        (
            "orders",
            "order_revenue",
            "average_order_value",
            "repeat_purchase_rate",
            "loyal_customer_share",
            "time_to_next_purchase_km_median",
            "time_between_purchases_median",
            "repurchase_within_30d",
            "repurchase_within_365d",
            "clv",
        ),
        ("order",),
    ),
    **dict.fromkeys(
        ("mrr_end", "arpc", "gross_revenue_retention", "mrr_churn_rate", "renewal_rate", "clv_subscription"),
        ("subscription",),
    ),
    "referral_share": ("any",),
    **dict.fromkeys(
        (
            "failed_payment_rate",
            "payment_recovery_rate",
            "dau",
            "wau",
            "mau",
            "stickiness",
            "active_customers",
            "nps",
            "promoter_share",
            "csat",
            "email_open_rate",
            "emails_delivered",
            "tickets_opened",
            "tickets_per_100_customers",
            "ticket_unresolved_48h_rate",
            "resolution_hours_median",
            "customer_acquisition_cost",
            "ltv_to_cac",
        ),
        ("all",),
    ),
}
SAME = 1e-9


class Told(NamedTuple):
    """A figure that is not NULL, and the period that it is of."""

    start: date
    end: date
    value: float


def kpi_attainment(rows: list[Row], answers: Answers, as_of: date) -> Cells:
    """How far each goal of `kpi_targets` is."""
    figures: dict[tuple[str, ...], list[Told]] = {}
    for key, answer in sorted(answers.items(), key=lambda pair: pair[0].period_start):
        if answer.figure.value is not None:
            told = Told(key.period_start, next_period(key.grain, key.period_start), answer.figure.value)
            figures.setdefault((key.kpi, key.grain, *key[3:]), []).append(told)
    found = {}
    for row in without_impossible(rows, ("grain", "basis", "segment_dimension", "segment_value", "start_on"), "target"):
        segment = (row.get("segment_dimension") or "all", row.get("segment_value") or "all")
        of = (row["kpi"], row["grain"], row.get("basis") or BASES[row["kpi"]][0], *segment)
        start_on, due_on = date.fromisoformat(row["start_on"]), date.fromisoformat(row["due_on"])
        found["kpi_attainment", *of, start_on] = attained(row, figures.get(of, []), start_on, due_on, as_of)
    return found


def attained(row: Row, figures: list[Told], start_on: date, due_on: date, as_of: date) -> Row:
    target = float(row["target"])
    baseline = float(row["baseline"]) if row.get("baseline") else None
    if baseline is None:
        before = [told for told in figures if told.end <= min(start_on, as_of)]
        baseline = before[-1].value if before else None
    within = [told for told in figures if start_on < told.end <= min(as_of, due_on)]
    last = within[-1] if within else None
    elapsed = min(max((as_of - start_on).days / (due_on - start_on).days, 0.0), 1.0)
    progress = None
    if last and baseline is not None and baseline != target:
        progress = (last.value - baseline) / (target - baseline)
    return {
        "due_on": due_on,
        "baseline": baseline,
        "target": target,
        "value": last.value if last else None,
        "value_period_start": last.start if last else None,
        "progress": progress,
        "elapsed": elapsed,
        "status": None if progress is None else status(progress, elapsed, is_due=due_on <= as_of),
    }


def status(progress: float, elapsed: float, *, is_due: bool) -> str:
    if progress >= 1 - SAME:
        return "met"
    if is_due:
        return "missed"
    if progress >= elapsed + 0.1 - SAME:
        return "ahead"
    return "on_track" if progress >= elapsed - 0.1 - SAME else "behind"


def kpi_with_benchmark(rows: list[Row], answers: Answers, rules: Rules) -> Cells:
    """Figures of everybody beside the benchmark of the setting `industry`."""
    possible = without_impossible(rows, ("grain", "industry", "source", "year"), "value")
    found = {}
    for key, answer in answers.items():
        known = [
            row
            for row in possible
            if (row["kpi"], row["grain"], row["industry"]) == (key.kpi, key.grain, rules.industry)
            and int(row["year"]) <= key.period_start.year
        ]
        if known and key.segment_dimension == "all" and answer.figure.value is not None:
            # Code points of the sources, as Python compares text.
            row = min(known, key=lambda row: (-int(row["year"]), row["source"]))
            found["kpi_with_benchmark", key.kpi, key.grain, key.period_start, key.basis] = {
                "value": answer.figure.value,
                "benchmark": float(row["value"]),
                "gap": answer.figure.value - float(row["value"]),
                "source": row["source"],
                "year": float(row["year"]),
            }
    return found


def without_impossible(rows: list[Row], key: tuple[str, ...], value: str) -> list[Row]:
    """Without pairs of a dau above the mau of an otherwise equal key: nobody is active daily but not monthly."""
    empty = {"basis": "all", "segment_dimension": "all", "segment_value": "all"}

    def place(row: Row) -> tuple[str, ...]:
        return tuple(row.get(name) or empty.get(name, "") for name in key)

    daily, monthly = ({place(row): float(row[value]) for row in rows if row["kpi"] == kpi} for kpi in ("dau", "mau"))
    impossible = {where for where, given in daily.items() if given > monthly.get(where, given)}
    return [row for row in rows if row["kpi"] not in ("dau", "mau") or place(row) not in impossible]
