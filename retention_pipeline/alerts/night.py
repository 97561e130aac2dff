"""What a run does about alerts: it finds them before it publishes, so that the table `alerts` goes out with the figures
they are about, and acts when the figures are out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

import duckdb

from retention_pipeline import formatting
from retention_pipeline.alerts.actions import deliver
from retention_pipeline.alerts.conditions import holding, rule_problems
from retention_pipeline.alerts.incidents import OPERATIONS, Finding, Incident, after, load, save, write_alerts
from retention_pipeline.alerts.new_actions import unsent
from retention_pipeline.freshness.sources import SourceState
from retention_pipeline.settings import Home, Settings
from retention_pipeline.settings.alerts import Notify

RUN = "run"


def before_publication(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    settings: Settings,
    *,
    states: Sequence[SourceState],
    refused: Sequence[tuple[str, str, str]],
    as_of: date,
    now: datetime,
) -> tuple[list[Incident], list[str]]:
    """The incidents as the open warehouse has them, written to its table `alerts`; and rules that ask for what is not
    there, in words. refused: (source, file, why) of what was not loaded.
    """
    rules = settings.alerts.rules
    new_actions = {
        rule.name: max(
            (
                len(unsent(home, connection, rule.slug, position, rule.when.new_actions))
                for position, action in enumerate(rule.then)
                if not isinstance(action, Notify)
            ),
            default=0,
        )
        for rule in rules
        if rule.when.new_actions is not None
    }
    findings = holding(
        connection, rules, states, settings.business.reporting_currency, as_of=as_of, new_actions=new_actions
    )
    findings += _of_operations(states, refused)
    incidents = after(load(home), findings, now, actions=_actions(settings), judged=_judged(settings))
    write_alerts(connection, incidents)
    return incidents, rule_problems(connection, rules)


def after_publication(home: Home, settings: Settings, *, texts: Callable[[], list[str]]) -> tuple[int, list[str]]:
    """Do what the incidents of a publication wait for; returns how many were told of, and what could not be done."""
    incidents = load(home)
    told, problems = deliver(home, settings, incidents, texts=texts)
    if told != incidents:
        save(home, told)
    number = sum(bool(one.waiting) and not now.waiting for one, now in zip(incidents, told, strict=True))
    return number, problems


def tell_failure(home: Home, settings: Settings, reason: str, now: datetime) -> list[str]:
    """A run has failed: told once, until one publishes. Returns what could not be done. Never raises."""
    try:
        incidents = load(home)
        others = [one for one in incidents if _key(one) != (OPERATIONS, RUN) or not one.is_open]
        before = [one for one in incidents if one not in others]
        finding = Finding(OPERATIONS, RUN, f"The run failed: {reason}")
        own = after(before, [finding], now, actions=_actions(settings), judged={OPERATIONS})
        if not before:
            [one] = own
            number = max((known.alert_id for known in others), default=0) + 1
            own = [Incident(number, finding, now, now, one.waiting)]
        told, problems = deliver(home, settings, own)
        save(home, [*others, *told])
    except OSError as error:
        return [f"{error.filename or home.incidents_file}: {(error.strerror or str(error)).lower()}"]
    except Exception as error:  # a message about a failure must not hide it
        return [" ".join(str(error).split())]
    return problems


def _of_operations(states: Sequence[SourceState], refused: Sequence[tuple[str, str, str]]) -> list[Finding]:
    found = [Finding(OPERATIONS, f"source {one.source}", one.warning) for one in states if one.state != "fresh"]
    late = {one.source for one in states if one.state != "fresh"}
    for source in sorted({source for source, _, _ in refused} - late):
        files = [(name, why) for of, name, why in refused if of == source]
        name, why = files[0]
        more = f" (and {len(files) - 1:,} more)" if len(files) > 1 else ""
        message = f"{source}: {formatting.counted(len(files), 'file')} not loaded: {name}: {why}{more}"
        found.append(Finding(OPERATIONS, f"refused {source}", message))
    return found


def _actions(settings: Settings) -> dict[str, list[int | str]]:
    by_rule: dict[str, list[int | str]] = {rule.name: list(range(len(rule.then))) for rule in settings.alerts.rules}
    return by_rule | {OPERATIONS: list(settings.alerts.told_of_operations)}


def _judged(settings: Settings) -> set[str]:
    return {rule.name for rule in settings.alerts.rules} | {OPERATIONS}


def _key(incident: Incident) -> tuple[str, str]:
    return incident.finding.rule, incident.finding.subject
