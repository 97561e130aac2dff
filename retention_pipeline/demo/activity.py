"""What subscribers do in the app, which is eighteen months old: a habit per person that fades before they leave."""

import numpy as np
import pandas as pd

from retention_pipeline.demo.delivery import Landing

DAY = np.timedelta64(1, "D")
APP_MONTHS = 18
FADING_DAYS = 60  # before leaving, log-ins become rarer
EVENTS = np.array(["login", "recipe_viewed", "push_received"])
EVENT_SHARE = np.array([0.62, 0.23, 0.15])


def paid_stretches(phases: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """One row per phase that is paid or should be: number (of the customer), begins, ends (at most `until`), leaves."""
    paid = phases[phases["status"].isin(["active", "past_due"])]
    begins = pd.to_datetime(paid["started_on"]).to_numpy().astype("datetime64[D]")
    known_end = pd.to_datetime(paid["ended_on"]).to_numpy().astype("datetime64[D]")
    ends = np.where(np.isnat(known_end), until, np.minimum(known_end, until))
    follows = (paid["subscription_id"].shift(-1) == paid["subscription_id"]).to_numpy()
    return pd.DataFrame(
        {
            "number": paid["customer_id"].str[1:].astype(int).to_numpy(),
            "begins": begins,
            "ends": ends,
            "leaves": ~np.isnat(known_end) & (known_end < until) & ~follows,
        }
    )


def make_events(
    generator: np.random.Generator, phases: pd.DataFrame, customers: int, until: np.datetime64
) -> pd.DataFrame:
    """One row per event: event_id, customer number, occurred (an instant in UTC), event, duration_seconds."""
    app_opens = (until.astype("datetime64[M]") - APP_MONTHS).astype("datetime64[D]")
    habit = generator.gamma(1.6, 0.14, size=customers + 1)  # events per day
    stretches = paid_stretches(phases, until)
    begins = np.maximum(stretches["begins"].to_numpy().astype("datetime64[D]"), app_opens)
    ends = stretches["ends"].to_numpy().astype("datetime64[D]")
    days = np.maximum((ends - begins).astype(int), 0)
    counts = generator.poisson(habit[stretches["number"]] * days)
    row = np.repeat(np.arange(len(stretches)), counts)
    offset = (generator.random(len(row)) * days[row]).astype(int)
    left = days[row] - offset
    keeps = ~stretches["leaves"].to_numpy()[row] | (generator.random(len(row)) < (left + 4) / FADING_DAYS)
    row, offset = row[keeps], offset[keeps]
    seconds = generator.triangular(6 * 3600, 19 * 3600, 23 * 3600, size=len(row)).astype("timedelta64[s]")
    event = EVENTS[generator.choice(len(EVENTS), size=len(row), p=EVENT_SHARE)]
    minutes = generator.lognormal(1.1, 0.8, size=len(row))
    events = pd.DataFrame(
        {
            "number": stretches["number"].to_numpy()[row],
            "occurred": (begins[row] + offset * DAY).astype("datetime64[s]") + seconds,
            "event": event,
            "duration_seconds": np.where(event == "login", np.round(minutes * 60), np.nan),
        }
    ).sort_values(["occurred", "number"], kind="stable", ignore_index=True)
    events.insert(0, "event_id", "V" + pd.Series(np.arange(1, len(events) + 1)).astype(str).str.zfill(7))
    return events


def deliver_events(landing: Landing, events: pd.DataFrame) -> None:
    """events: a file per quarter, as the app's tracker exports them."""
    rows = pd.DataFrame(
        {
            "event_id": events["event_id"],
            "user": "C" + events["number"].astype(str).str.zfill(6),
            "time": events["occurred"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "event": events["event"],
            "duration_seconds": events["duration_seconds"].map("{:.0f}".format, na_action="ignore"),
        }
    )
    for quarter, chosen in rows.groupby(events["occurred"].dt.to_period("Q")):
        landing.write("events", f"app_{quarter}.csv.gz", chosen)
