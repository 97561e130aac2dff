"""The billing system: every subscriber's life as rows with unchanged terms, and the exports in which they came."""

from datetime import date, timedelta
from random import Random

import numpy as np
import pandas as pd

from retention_pipeline.demo.delivery import Landing
from retention_pipeline.demo.plans import Subscriber, months_later


def make_phases(seed: int, people: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """One row per phase with unchanged terms, in the order of its subscription: the columns of the billing system's
    export, days as dates (ended_on None while open).
    """
    draw, last_day = Random(seed), until.astype(object)
    price_rise = months_later(last_day.replace(day=1), -14)
    rows = []
    for number, joined, country, kind, role, quality in people[
        ["number", "joined", "country", "kind", "role", "quality"]
    ].itertuples(index=False):
        if role not in ("subscriber", "both"):
            continue
        subscriber = Subscriber(draw, quality, kind, last_day, price_rise)
        begins = joined.date() + timedelta(days=draw.randint(0, 3) if role == "subscriber" else draw.randint(20, 200))
        for life, phases in enumerate(subscriber.lives(begins)):
            clock = draw.randint(6 * 3600, 24 * 3600 - 1)
            anchor = next((row[2] for row in phases if row[1] == "active"), None)
            for terms, status, start, end, reason, asked in phases:
                rows.append(
                    (
                        f"S{number:06d}{'abcdefghij'[life % 10]}",
                        f"C{number:06d}",
                        terms.plan,
                        f"{terms.price(country == 'GB'):.2f}",
                        terms.quantity,
                        f"{terms.discount:.2f}",
                        "GBP" if country == "GB" else "EUR",
                        terms.interval,
                        status,
                        start,
                        end,
                        asked,
                        _term_end(anchor, start) if terms.interval == "year" and anchor else None,
                        reason,
                        clock,
                    )
                )
    columns = "subscription_id customer_id plan amount quantity recurring_discount currency interval status"
    days = ["started_on", "ended_on", "asked_on", "term_ends_on"]
    return _with_overlaps(pd.DataFrame(rows, columns=[*columns.split(), *days, "end_reason", "clock"]))


def _with_overlaps(phases: pd.DataFrame) -> pd.DataFrame:
    """Every sixtieth change of terms: the system closes the old ones four days after the new ones began."""
    follows = (phases["subscription_id"].shift(-1) == phases["subscription_id"]) & (phases["status"] == "active")
    follows &= phases["status"].shift(-1) == "active"
    overlapping = follows & (follows.cumsum() % 60 == 59)
    phases.loc[overlapping, "ended_on"] = phases.loc[overlapping, "ended_on"] + timedelta(days=4)
    return phases


def _term_end(anchor: date, start: date) -> date:
    """The first anniversary of the first paid day after the phase began."""
    years = 1
    while months_later(anchor, 12 * years) <= start:
        years += 1
    return months_later(anchor, 12 * years)


def deliver_phases(landing: Landing, phases: pd.DataFrame, first_month: np.datetime64, until: np.datetime64) -> None:
    """subscriptions: an export after each year, with what is new in it or has changed since the one before."""
    months = int((until.astype("datetime64[M]") - first_month.astype("datetime64[M]")).astype(int))
    cuts = [(first_month.astype("datetime64[M]") + month).astype("datetime64[D]") for month in range(12, months, 12)]
    before = None
    for cut in [*cuts, until]:
        known = _as_known(phases, cut)
        changed = known if before is None else known[~known.index.isin(before.index) | _differs(known, before)]
        landing.write("subscriptions", f"billing_{cut}.csv", changed, broken=BROKEN_LINES if cut == until else ())
        before = known


def _as_known(phases: pd.DataFrame, cut: np.datetime64) -> pd.DataFrame:
    """What the billing system said on the morning of `cut`: later ends and wishes to cancel are not known yet."""
    started = pd.to_datetime(phases["started_on"])
    known = phases[started < cut]
    clock = pd.to_timedelta(known["clock"], unit="s")
    start, end, asked = (pd.to_datetime(known[name]) for name in ("started_on", "ended_on", "asked_on"))
    announced = asked.notna() & (asked < cut)
    end = end.where((end < cut) | announced)
    changed = pd.concat([start, end.where(end < cut), asked.where(announced)], axis=1).max(axis=1)
    states = {"trialing": "in_trial", "active": "live", "past_due": "dunning", "paused": "on_hold"}
    form = "%Y-%m-%dT%H:%M:%SZ"
    return pd.DataFrame(
        {
            **{name: known[name] for name in phases.columns[:8]},
            "state": known["status"].replace(states),
            "started_at": (start + clock).dt.strftime(form),
            "ended_at": (end + clock).dt.strftime(form),
            "term_ends_at": pd.to_datetime(known["term_ends_on"]).dt.strftime("%Y-%m-%d"),
            "cancel_requested_at": asked.where(announced).dt.strftime("%Y-%m-%d"),
            "end_reason": known["end_reason"].where(end.notna() | (known["status"] == "cancelled"), ""),
            "updated_at": (changed + clock).dt.strftime(form),
        }
    )


def _differs(known: pd.DataFrame, before: pd.DataFrame) -> pd.Series:
    """Whether a row says something else than in the export before (same index)."""
    earlier = before.reindex(known.index)
    return (known.fillna("") != earlier.fillna("")).any(axis=1)


# An end before its start, no seats, an interval that nobody sells, a line that lost its tail.
BROKEN_LINES = (
    "S900001a,C000020,plus,24.00,1,0.00,EUR,month,live,2025-03-01T10:00:00Z,2025-02-01T10:00:00Z,,,,2025-03-01T10:00:00Z",
    "S900002a,C000021,office,9.00,0,0.00,EUR,month,live,2025-03-01T10:00:00Z,,,,,2025-03-01T10:00:00Z",
    "S900003a,C000022,plus,24.00,1,0.00,EUR,fortnight,live,2025-03-01T10:00:00Z,,,,,2025-03-01T10:00:00Z",
    "S900004a,C000023,plus,24.00,1",
)
