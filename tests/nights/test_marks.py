"""Marks that no golden story has: figures that change on a day on which no row arrives, night by night, as a full
refresh has them. `test_each_mark.py` finds the marks without a story.

All rows are loaded before the first run; what lies ahead of `as_of` is not seen yet. Days in UTC, 2024 is a leap year:

- `eva` logs in on 1 March and on 3 April. She leaves the window of 7 days after the close of 8 March and that of 28
  days after the close of 29 March. April's group of engagement is that of 1 April: no active day in [4 March, 1 April),
  so her log-in in April is one of the inactive.
  Her log-in of 3 April lasted 600 seconds, which nobody knows before 4 April; it leaves the window of 365 days after
  the close of 2 April 2025, and ann's last one, of 2 April, the day before.
- `ann` answered 9 on 5 March 2023 and logs in on 6 and 12 March and on 2 April. The week of 4 March looks back to 5
  March 2023 (365 days) and finds a promoter, that of 11 March finds no answer. In April she has two active days: low.
- `max` got mails on 20 February; one was opened on the 27th, seven days later: in its window. The week of 19 February
  ends on the 26th, so its rate is mature from 4 March on: 1/2. Until then it is immature.
  A third one, of 1 March, was opened on the 6th and clicked on the 8th.
- `tim` wrote on 29 February, 10:00, was answered after 48 hours and helped on 2 March, 11:00, after 49; and on 1 March,
  12:00, answered after 1 hour and helped after 6. The week of 26 February ends on 4 March, 3 days later (48 hours for
  everybody) it is known: 1/2 on 7 March. The medians of hours know the second ticket on 2 March (6, and 1 until a
  reply), both on the 3rd (27.5, 24.5).

A second story has other settings (a message counts where it was sent):

- `bo` was sent a mail on 1 March, which bounced on the 4th: it counts until the close of that day.
- `ida` pays 10 a month from 10 January 2023 and moved from NL to BE on 20 March 2023. Her twelve months begin in NL
  for the day 19 March 2024, and in BE from the close of 20 March 2024 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nights.compiled_models import compile_models
from nights.test_nights import differences
from nights.warehouse_in_memory import Warehouse
from retention_pipeline.contracts.grains import GRAINS
from retention_pipeline.ingest import ingest
from retention_pipeline.kpis import compute_kpis
from retention_pipeline.settings import Home, Settings

ACTIVITY_LANDING = {
    "events": """\
        event_id,customer_id,occurred_at,event,duration_seconds
        e1,eva,2024-03-01T09:00:00,login,
        e2,eva,2024-04-03T09:00:00,login,600
        e3,ann,2024-03-06T09:00:00,login,
        e4,ann,2024-03-12T09:00:00,login,
        e5,ann,2024-04-02T09:00:00,login,""",
    "surveys": """\
        response_id,customer_id,responded_at,kind,score,scale_max
        r1,ann,2023-03-05T12:00:00,nps,9,10""",
    "emails": """\
        message_id,customer_id,event,occurred_at
        m1,max,delivered,2024-02-20T08:00:00
        m2,max,delivered,2024-02-20T09:00:00
        m1,max,opened,2024-02-27T20:00:00
        m3,max,delivered,2024-03-01T08:00:00
        m3,max,opened,2024-03-06T08:00:00
        m3,max,clicked,2024-03-08T08:00:00""",
    "tickets": """\
        ticket_id,customer_id,opened_at,first_reply_at,resolved_at
        t1,tim,2024-02-29T10:00:00,2024-03-02T10:00:00,2024-03-02T11:00:00
        t2,tim,2024-03-01T12:00:00,2024-03-01T13:00:00,2024-03-01T18:00:00""",
}
EVERYONE = ("all", "all")
Figures = dict[tuple[Any, ...], tuple[float, ...] | float | None]
ACTIVITY_FIGURES: dict[str, Figures] = {
    "2024-03-01": {("email_open_rate", "week", "2024-02-19", EVERYONE): None},
    "2024-03-02": {
        ("wau", "month", "2024-03-01", EVERYONE): 1,
        ("resolution_hours_median", "week", "2024-02-26", EVERYONE): 6,
        ("first_reply_hours_median", "week", "2024-02-26", EVERYONE): 1,
        ("emails_delivered", "week", "2024-02-26", EVERYONE): 1,
    },
    "2024-03-03": {
        ("email_open_rate", "week", "2024-02-19", EVERYONE): None,
        ("emails_delivered", "week", "2024-02-19", EVERYONE): 2,
        ("resolution_hours_median", "week", "2024-02-26", EVERYONE): 27.5,
        ("first_reply_hours_median", "week", "2024-02-26", EVERYONE): 24.5,
    },
    "2024-03-04": {("email_open_rate", "week", "2024-02-19", EVERYONE): (0.5, 1, 2)},
    "2024-03-06": {("ticket_unresolved_48h_rate", "week", "2024-02-26", EVERYONE): None},
    "2024-03-07": {
        ("ticket_unresolved_48h_rate", "week", "2024-02-26", EVERYONE): (0.5, 1, 2),
        ("active_customers", "week", "2024-03-04", ("nps_class", "promoter")): 1,
        ("wau", "month", "2024-03-01", EVERYONE): 2,
    },
    "2024-03-08": {("wau", "month", "2024-03-01", EVERYONE): 2},
    "2024-03-09": {("wau", "month", "2024-03-01", EVERYONE): 1, ("mau", "month", "2024-03-01", EVERYONE): 2},
    "2024-03-13": {
        ("active_customers", "week", "2024-03-11", ("nps_class", "promoter")): None,
        ("active_customers", "week", "2024-03-11", ("nps_class", "(none)")): 1,
        ("active_customers", "week", "2024-03-04", ("nps_class", "promoter")): 1,
    },
    "2024-03-29": {("mau", "month", "2024-03-01", EVERYONE): 2},
    "2024-03-30": {("mau", "month", "2024-03-01", EVERYONE): 1},
    "2024-04-04": {
        ("active_customers", "month", "2024-04-01", ("engagement_group", "low")): 1,
        ("active_customers", "month", "2024-04-01", ("engagement_group", "inactive")): 1,
        ("active_customers", "month", "2024-03-01", ("engagement_group", "(none)")): 2,
        ("mau", "month", "2024-03-01", EVERYONE): 1,
        ("session_minutes_median", "month", "2024-04-01", EVERYONE): 10,
    },
    "2025-04-02": {("yau", "month", "2025-04-01", EVERYONE): 2},
    "2025-04-03": {("yau", "month", "2025-04-01", EVERYONE): 1},
    "2025-04-04": {("yau", "month", "2025-04-01", EVERYONE): 0},
}
CHANGES_LANDING = {
    "emails": """\
        message_id,customer_id,event,occurred_at
        m1,bo,sent,2024-03-01T08:00:00
        m1,bo,bounced,2024-03-04T08:00:00""",
    "customers": """\
        customer_id,valid_from,country
        ida,,NL
        ida,2023-03-20,BE""",
    "subscriptions": """\
        subscription_id,customer_id,plan,amount,quantity,currency,interval,interval_count,status,started_at,ended_at
        s1,ida,basic,10.00,1,EUR,month,1,active,2023-01-10,""",
}
NL, BE = ("country", "NL"), ("country", "BE")
CHANGES_FIGURES: dict[str, Figures] = {
    "2024-03-04": {("emails_delivered", "month", "2024-03-01", EVERYONE): 1},
    "2024-03-05": {("emails_delivered", "month", "2024-03-01", EVERYONE): None},
    "2024-03-20": {
        ("net_revenue_retention_12m", "month", "2024-03-01", EVERYONE): (1, 10, 10),
        ("net_revenue_retention_12m", "month", "2024-03-01", NL): (1, 10, 10),
        ("net_revenue_retention_12m", "month", "2024-03-01", BE): None,
    },
    "2024-03-21": {
        ("net_revenue_retention_12m", "month", "2024-03-01", NL): None,
        ("net_revenue_retention_12m", "month", "2024-03-01", BE): (1, 10, 10),
    },
}


@dataclass(frozen=True)
class Told:
    """A story: its settings and rows, day → figures seen then: (KPI, grain, period start, segment) → (value, numerator,
    denominator) or the value; None: no row or NULL. After the nights `compared` all tables are those of a full refresh.
    """

    settings: Settings
    landing: dict[str, str]
    figures: dict[str, Figures]
    compared: tuple[str, ...]

    @property
    def grains(self) -> list[str]:
        """Those of the figures, the finest first; a night takes as long as it has grains."""
        named = {grain for expected in self.figures.values() for _, grain, *_ in expected}
        return [grain for grain in GRAINS if grain in named]

    def deliver_and_load(self, root: Path) -> Home:
        """A home with all rows loaded."""
        home = Home(root)
        (root / "landing").mkdir(parents=True)
        for name, text in self.landing.items():
            lines = [line.strip() for line in text.splitlines()]
            (root / "landing" / f"{name}.csv").write_text("\n".join([*lines, ""]))
        result = ingest(home, self.settings, now=datetime(2024, 3, 1, 2))
        assert not result.refused and not sum(load.bad for load in result.loads)
        return home


def settings_of(landing: dict[str, str], *segments: str, **business: object) -> Settings:
    return Settings.model_validate(
        {
            "business": {"reporting_currency": "EUR", "timezone": "UTC", "mau_days": 28, "email_window_days": 7}
            | business,
            "segments": segments,
            "sources": {name: {"type": "files", "path": f"landing/{name}.csv", "timezone": "UTC"} for name in landing},
        }
    )


TOLD = {
    "activity": Told(
        settings_of(ACTIVITY_LANDING, "engagement_group", "nps_class"),
        ACTIVITY_LANDING,
        ACTIVITY_FIGURES,
        ("2024-03-07", "2024-03-13", "2024-04-04", "2025-04-03"),
    ),
    "changes": Told(
        settings_of(CHANGES_LANDING, "country", email_unit="sent"),
        CHANGES_LANDING,
        CHANGES_FIGURES,
        ("2024-03-05", "2024-03-21"),
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_figures_change_with_the_calendar_alone(name: str, tmp_path: Path) -> None:
    told = TOLD[name]
    home = told.deliver_and_load(tmp_path / "home")
    settings = told.settings.model_copy(update={"grains": told.grains})
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 1")
        connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")
        warehouse = Warehouse(connection, compile_models(settings, tmp_path / "compiled"))
        before: date | None = None
        for day, expected in told.figures.items():
            as_of = date.fromisoformat(day)
            if before is None:
                warehouse.full_refresh(as_of)
            else:
                warehouse.night(as_of, before, 99)
            if day in told.compared:
                assert differences(warehouse, as_of) == [], day
            before = as_of
            connection.execute("drop table if exists retention_kpis")
            compute_kpis(
                connection,
                settings,
                as_of=as_of,
                run_id=day,
                computed_at=datetime(2024, 3, 1),
                connected_datasets=settings.connected_datasets,
            )
            for (kpi, grain, start, segment), figure in expected.items():
                found = connection.execute(
                    "select value, numerator, denominator from retention_kpis where kpi = ? and grain = ?"
                    " and period_start = ? and segment_dimension = ? and segment_value = ?",
                    [kpi, grain, start, *segment],
                ).fetchone()
                value = found and (found if isinstance(figure, tuple) else found[0])
                assert value == figure, (day, kpi, grain, start, segment, found)
