"""What passes between the shop and its customers: newsletters, support tickets, and what they answer to surveys."""

import numpy as np
import pandas as pd

from retention_pipeline.demo.activity import paid_stretches
from retention_pipeline.demo.delivery import Landing
from retention_pipeline.demo.people import customer_ids

DAY, HOUR, SECOND = np.timedelta64(1, "D"), np.timedelta64(1, "h"), np.timedelta64(1, "s")
NEWSLETTER_MONTHS = 12
RECEIVES = 0.4  # share of the customers who want the newsletter
READS_BY_MACHINE = 0.35  # share whose mail program opens every message by itself
TICKET_SHARE = 0.03  # of orders
REASONS = np.array(["late_delivery", "damaged", "wrong_item", "billing", "question"])
REASON_SHARE = np.array([0.34, 0.16, 0.14, 0.12, 0.24])
SLOW_WEEK = 11  # every so many weeks support is short of people
ASKED_PER_MONTH = 0.05
UTC = "%Y-%m-%dT%H:%M:%SZ"


def deliver_newsletters(
    generator: np.random.Generator, landing: Landing, people: pd.DataFrame, until: np.datetime64
) -> None:
    """emails: one newsletter a month, with what happened to it at each customer; a file per newsletter."""
    wants = generator.random(len(people)) < RECEIVES
    by_machine = generator.random(len(people)) < READS_BY_MACHINE
    numbers, joined = people["number"].to_numpy(), people["joined"].to_numpy().astype("datetime64[D]")
    quality = people["quality"].to_numpy()
    this_month = until.astype("datetime64[M]")
    for month in np.arange(this_month - NEWSLETTER_MONTHS, this_month + 1):
        sent = month.astype("datetime64[D]") + 5 * DAY
        gets = np.flatnonzero(wants & (joined < sent))
        if sent >= until or not len(gets):
            continue
        at = sent.astype("datetime64[s]") + (8 * 3600 + generator.integers(0, 3600, len(gets))) * SECOND
        bounced = generator.random(len(gets)) < 0.015
        opened = ~bounced & (generator.random(len(gets)) < np.clip(0.24 * quality[gets], 0, 0.9))
        clicked = opened & (generator.random(len(gets)) < 0.18)
        later = (generator.exponential(20 * 3600, len(gets)) + 120).astype(int)
        parts = [
            ("sent", np.ones(len(gets), bool), at, False),
            ("bounced", bounced, at + 5 * SECOND, False),
            ("delivered", ~bounced, at + 5 * SECOND, False),
            ("opened", ~bounced & by_machine[gets], at + 40 * SECOND, True),
            ("opened", opened, at + later * SECOND, False),
            ("clicked", clicked, at + (later + 45) * SECOND, False),
        ]
        rows = pd.concat(
            pd.DataFrame({"number": numbers[gets][chosen], "event": name, "time": time[chosen], "machine": machine})
            for name, chosen, time, machine in parts
        )
        rows = rows[rows["time"] < pd.Timestamp(until)].sort_values(["time", "number", "event"], kind="stable")
        landing.write(
            "emails",
            f"newsletter_{month}.csv.gz",
            pd.DataFrame(
                {
                    "message": f"newsletter_{month}",
                    "customer": customer_ids(rows["number"]).to_numpy(),
                    "event": rows["event"].to_numpy(),
                    "time": rows["time"].dt.strftime(UTC).to_numpy(),
                    "machine": rows["machine"].map({True: "true", False: "false"}).to_numpy(),
                }
            ),
        )


def make_tickets(generator: np.random.Generator, orders: pd.DataFrame, until: np.datetime64) -> pd.DataFrame:
    """One row per ticket: number, customer, opened, replied, resolved (NaT: not yet), reason."""
    chosen = np.flatnonzero(generator.random(len(orders)) < TICKET_SHARE)
    opened = orders["placed"].to_numpy().astype("datetime64[s]")[chosen]
    opened = opened + generator.integers(3600, 6 * 86400, len(chosen)) * SECOND
    week = opened.astype("datetime64[W]").astype(int)
    pace = np.where(week % SLOW_WEEK == 0, 5.0, 1.0)
    reply = (generator.lognormal(1.1, 0.7, len(chosen)) * pace * 3600).astype(int)
    solve = reply + (generator.lognormal(2.7, 0.9, len(chosen)) * pace * 3600).astype(int)
    end = until.astype("datetime64[s]")
    never = generator.random(len(chosen)) < 0.01
    resolved = np.where(never | (opened + solve * SECOND >= end), np.datetime64("NaT"), opened + solve * SECOND)
    replied = np.where(opened + reply * SECOND >= end, np.datetime64("NaT"), opened + reply * SECOND)
    tickets: pd.DataFrame = pd.DataFrame(
        {
            "customer": orders["customer"].to_numpy()[chosen],
            "opened": opened,
            "replied": replied,
            "resolved": resolved,
            "reason": REASONS[generator.choice(len(REASONS), size=len(chosen), p=REASON_SHARE)],
        }
    )
    tickets = tickets[opened < end].sort_values(["opened", "customer"], kind="stable", ignore_index=True)
    tickets.insert(0, "number", np.arange(1, len(tickets) + 1))
    return tickets


def deliver_tickets(landing: Landing, tickets: pd.DataFrame) -> None:
    """tickets: the help desk's export, one file with the state of today."""
    rows = pd.DataFrame(
        {
            "ticket": "T" + tickets["number"].astype(str).str.zfill(6),
            "requester": customer_ids(tickets["customer"]),
            "created": tickets["opened"].dt.strftime(UTC),
            "first_reply": tickets["replied"].dt.strftime(UTC),
            "solved": tickets["resolved"].dt.strftime(UTC),
            "category": tickets["reason"],
        }
    )
    landing.write("tickets", "help_desk.csv", rows)


def make_answers(
    generator: np.random.Generator, people: pd.DataFrame, phases: pd.DataFrame, tickets: pd.DataFrame,
    until: np.datetime64,
) -> pd.DataFrame:  # fmt: skip
    """One row per answer: customer, time, kind, score, scale. Who is about to leave scores low; so does who waited."""
    stretches = paid_stretches(phases, until)
    leaving = stretches[stretches["leaves"]].groupby("number")["ends"].max()
    leaves_on = np.full(len(people) + 1, np.datetime64("NaT"), dtype="datetime64[D]")
    leaves_on[leaving.index.to_numpy()] = leaving.to_numpy().astype("datetime64[D]")
    joined, numbers = people["joined"].to_numpy().astype("datetime64[D]"), people["number"].to_numpy()
    parts = []
    last = until.astype("datetime64[M]")
    for month in np.arange(joined.min().astype("datetime64[M]") + 1, last + 1):
        day = month.astype("datetime64[D]")
        asked = np.flatnonzero((joined < day - 30 * DAY) & (generator.random(len(people)) < ASKED_PER_MONTH))
        asked = asked[generator.random(len(asked)) < 0.3]  # three in ten answer
        time = day.astype("datetime64[s]") + generator.integers(9 * 3600, 20 * 86400, len(asked)) * SECOND
        ahead = (leaves_on[numbers[asked]] - day).astype("timedelta64[D]").astype(float)
        mood = 7.6 + 1.3 * (people["quality"].to_numpy()[asked] - 1) + generator.normal(0, 1.5, len(asked))
        mood = np.where((ahead > -30) & (ahead < 90), mood - 3.0, mood)
        score = np.clip(np.round(mood), 0, 10).astype(int)
        parts.append(
            pd.DataFrame({"customer": numbers[asked], "time": time, "kind": "nps", "score": score, "scale": 10})
        )
    rated = tickets[tickets["resolved"].notna() & (generator.random(len(tickets)) < 0.35)]
    waited = (rated["resolved"] - rated["opened"]).dt.total_seconds().to_numpy() / 3600
    score = np.clip(np.round(4.9 - waited / 40 + generator.normal(0, 0.7, len(rated))), 1, 5).astype(int)
    time = rated["resolved"] + pd.Timedelta(hours=2)
    parts.append(
        pd.DataFrame({"customer": rated["customer"], "time": time, "kind": "csat", "score": score, "scale": 5})
    )
    answers = pd.concat([part for part in parts if len(part)] or parts[:1])
    answers = answers[answers["time"] < pd.Timestamp(until)]
    return answers.sort_values(["time", "customer", "kind"], kind="stable", ignore_index=True)


def deliver_answers(landing: Landing, answers: pd.DataFrame) -> None:
    """surveys: one file of all answers."""
    rows = pd.DataFrame(
        {
            "response_id": "R" + pd.Series(np.arange(1, len(answers) + 1)).astype(str).str.zfill(6),
            "customer_id": customer_ids(answers["customer"]),
            "responded_at": answers["time"].dt.strftime(UTC),
            "kind": answers["kind"],
            "score": answers["score"],
            "scale_max": answers["scale"],
        }
    )
    landing.write("surveys", "answers.csv", rows)
