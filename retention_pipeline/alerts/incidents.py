"""Incidents: a rule holds for a subject, from one publication to the one after which it no longer holds.

They are kept in alerts/incidents.json of the home, newest last, and published as the table `alerts`. An incident is
told of when it begins, again when another complete period shows it, until somebody acknowledges it, and when it is over
to whom it was told. What could not be delivered is tried again by the next run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any

import duckdb

from retention_pipeline.settings import Home
from retention_pipeline.warehouse import DamagedFile

OPERATIONS = "operations"  # stands for the rule of what concerns the runs themselves
KEPT_RESOLVED = 1_000
# What differs from night to night in the words for one cause: numbers, days and times, the ids of runs.
_OF_THE_NIGHT = re.compile(
    r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\d{4,}|(?<![A-Za-z_])\d[\d,.:T-]*(?: ?(?:s|min|h|day|hour)s?\b)?"
    r"|\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b"
)
_FIRST_OF_SEVERAL = re.compile(r"; first: .*")
_QUOTED = re.compile(r"'[^']*'")
_FURTHER = re.compile(r" \(and #[^)]*\)")


@dataclass(frozen=True)
class Finding:
    """That a rule holds. subject: of what, in words and unique within the rule; period_start: of the complete period
    that shows it, None where it is about no period. is_notice: it is over when it has been told. cause: what a run or a
    source ails from; another cause is another incident.
    """

    rule: str
    subject: str
    message: str
    kpi: str | None = None
    grain: str | None = None
    basis: str | None = None
    segment_dimension: str | None = None
    segment_value: str | None = None
    period_start: date | None = None
    value: float | None = None
    threshold: float | None = None
    is_notice: bool = False
    cause: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Findings of one key are one incident."""
        return self.rule, self.subject, self.cause


@dataclass(frozen=True)
class Incident:
    """A finding with what became of it; moments are naive UTC. waiting: positions of the rule's actions (for
    operations: names of channels) that have not been carried out; of an incident that is over, those that have not been
    told so. told: those whose message arrived.
    """

    alert_id: int
    finding: Finding
    opened_at: datetime
    seen_at: datetime
    waiting: list[int | str] = field(default_factory=list)
    resolved_at: datetime | None = None
    acknowledged_at: datetime | None = None
    told: list[int | str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    @property
    def is_all_clear(self) -> bool:
        """Whether what it waits for is to say that it is over."""
        return not self.is_open and not self.finding.is_notice


def cause_of(text: str) -> str:
    """What stays the same in the words for a failure while its cause does: no numbers, no days, no values of rows, and
    what several files have in common once.
    """
    lines = (_OF_THE_NIGHT.sub("#", line) for line in text.splitlines() if not line.startswith("    "))
    plain = (_FIRST_OF_SEVERAL.sub(lambda example: _QUOTED.sub("#", example[0]), line) for line in lines)
    return "\n".join(dict.fromkeys(_FURTHER.sub("", line) for line in plain))


def after(
    incidents: list[Incident],
    findings: Iterable[Finding],
    now: datetime,
    *,
    actions: dict[str, list[int | str]],
    judged: set[str],
) -> list[Incident]:
    """The incidents after a run found what holds. actions: what is to be done, by rule; judged: the rules that were
    looked at, whose open incidents are over where they are not found again.
    """
    found = {finding.key: finding for finding in findings}
    result = []
    for one in incidents:
        finding = _again(one.finding, found) if one.is_open else None
        if not one.is_open or (finding is None and one.finding.rule not in judged):
            result.append(one)
        elif finding is None:
            known = actions.get(one.finding.rule, [])
            result.append(replace(one, resolved_at=now, waiting=[action for action in one.told if action in known]))
        else:
            is_new_period = finding.period_start != one.finding.period_start
            again = is_new_period and one.acknowledged_at is None
            waiting = list(actions.get(finding.rule, [])) if again else one.waiting
            result.append(replace(one, finding=finding, seen_at=now, waiting=waiting))
    number = max((one.alert_id for one in incidents), default=0)
    told = {(one.finding.rule, one.finding.subject, one.finding.period_start) for one in incidents}
    for finding in found.values():
        if finding.is_notice and (finding.rule, finding.subject, finding.period_start) in told:
            continue
        number += 1
        waiting = list(actions.get(finding.rule, []))
        ended = now if finding.is_notice else None
        result.append(Incident(number, finding, now, now, waiting, resolved_at=ended))
    resolved = [one for one in result if not one.is_open]
    dropped = {one.alert_id for one in resolved[: max(0, len(resolved) - KEPT_RESOLVED)]}
    return [one for one in result if one.alert_id not in dropped]


def _again(known: Finding, found: dict[tuple[str, str, str], Finding]) -> Finding | None:
    """The finding by which an incident lasts, taken out of `found`. One that was kept without a cause has any."""
    same = (key for key in found if key == known.key or (not known.cause and key[:2] == known.key[:2]))
    return found.pop(next(same, known.key), None)


def load(home: Home) -> list[Incident]:
    """The incidents of a home; none where the file is missing. A broken file is an error, never an empty list.

    Raises DamagedFile.
    """
    path = home.incidents_file
    if not path.exists():
        return []
    try:
        return [_incident(one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DamagedFile(
            f"{path}, the list of alerts, is damaged: {reason}. To put it aside and begin a new one:"
            f" retention doctor --mend --home {home.root}"
        ) from error


def save(home: Home, incidents: list[Incident]) -> None:
    """Replace the file as a whole."""
    path = home.incidents_file
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps([asdict(one) for one in incidents], default=str, indent=1), encoding="utf-8")
    os.replace(temporary, path)


def acknowledge(home: Home, alert_ids: Iterable[int], now: datetime) -> list[Incident]:
    """Open incidents that somebody has seen: they are not told of again. Returns those; the others are as they were."""
    asked = set(alert_ids)
    seen, kept = [], []
    for one in load(home):
        if one.alert_id in asked and one.is_open and one.acknowledged_at is None:
            one = replace(one, acknowledged_at=now, waiting=[])
            seen.append(one)
        kept.append(one)
    if seen:
        save(home, kept)
    return seen


COLUMNS = {
    "alert_id": "bigint not null",
    "rule": "varchar not null",
    "subject": "varchar not null",
    "message": "varchar not null",
    "kpi": "varchar",
    "grain": "varchar",
    "period_start": "date",
    "basis": "varchar",
    "segment_dimension": "varchar",
    "segment_value": "varchar",
    "value": "double",
    "threshold": "double",
    "opened_at": "timestamp not null",
    "seen_at": "timestamp not null",
    "acknowledged_at": "timestamp",
    "resolved_at": "timestamp",
}


def as_row(incident: Incident) -> dict[str, Any]:
    """An incident with the columns of the table `alerts`."""
    return {name: getattr(incident.finding if hasattr(incident.finding, name) else incident, name) for name in COLUMNS}


def write_alerts(connection: duckdb.DuckDBPyConnection, incidents: list[Incident]) -> None:
    """Create the table `alerts` in the open warehouse: one row per incident."""
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"create or replace table alerts ({columns})")
    if incidents:
        marks = ", ".join("?" for _ in COLUMNS)
        connection.executemany(
            f"insert into alerts values ({marks})", [list(as_row(one).values()) for one in incidents]
        )


def _incident(content: dict[str, Any]) -> Incident:
    finding = dict(content["finding"])
    if finding["period_start"]:
        finding["period_start"] = date.fromisoformat(finding["period_start"])
    moments = {
        name: datetime.fromisoformat(content[name]) if content[name] else None
        for name in ("opened_at", "seen_at", "resolved_at", "acknowledged_at")
    }
    opened_at, seen_at = moments.pop("opened_at"), moments.pop("seen_at")
    assert opened_at is not None and seen_at is not None
    told = content.get("told", [])
    return Incident(
        content["alert_id"], Finding(**finding), opened_at, seen_at, content["waiting"], **moments, told=told
    )
