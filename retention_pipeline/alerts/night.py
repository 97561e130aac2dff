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
from retention_pipeline.alerts.incidents import (
    OPERATIONS,
    Finding,
    Incident,
    after,
    cause_of,
    load,
    save,
    write_alerts,
)
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
    problems = rule_problems(connection, rules)
    known = load(home)
    # A rule that cannot be asked leaves its incidents; those of a rule that the settings no longer have are over.
    judged = {one.finding.rule for one in known} - set(problems)
    incidents = after(known, findings, now, actions=_actions(settings), judged=judged)
    write_alerts(connection, incidents)
    return incidents, list(problems.values())


def after_publication(home: Home, settings: Settings, *, texts: Callable[[], list[str]]) -> tuple[int, list[str]]:
    """Do what the incidents of a publication wait for; returns how many it was done for, and what could not be done."""
    incidents = load(home)
    told, problems = deliver(home, settings, incidents, texts=texts)
    if told != incidents:
        save(home, told)
    number = sum(bool(one.waiting) and not now.waiting for one, now in zip(incidents, told, strict=True))
    return number, problems


def tell_failure(home: Home, settings: Settings, reason: str, now: datetime) -> list[str]:
    """A run has failed: a cause is told once, until a run publishes. Returns what could not be done. Never raises."""
    try:
        finding = Finding(OPERATIONS, RUN, f"The run failed: {reason}", cause=cause_of(reason))
        incidents = after(load(home), [finding], now, actions=_actions(settings), judged=set())
        own = [one for one in incidents if one.is_open and (one.finding.rule, one.finding.subject) == (OPERATIONS, RUN)]
        told, problems = deliver(home, settings, own)
        now_told = {one.alert_id: one for one in told}
        save(home, [now_told.get(one.alert_id, one) for one in incidents])
    except OSError as error:
        return [f"{error.filename or home.incidents_file}: {(error.strerror or str(error)).lower()}"]
    except Exception as error:  # a message about a failure must not hide it
        return [" ".join(str(error).split())]
    return problems


def _of_operations(states: Sequence[SourceState], refused: Sequence[tuple[str, str, str]]) -> list[Finding]:
    late = [one for one in states if one.state != "fresh"]
    found = [
        Finding(OPERATIONS, f"source {one.source}", one.warning, cause=f"{one.state} {cause_of(one.error)}".rstrip())
        for one in late
    ]
    late_sources = {one.source for one in late}
    by_cause: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for source, name, why in refused:
        if source not in late_sources:
            by_cause.setdefault((source, cause_of(why)), []).append((name, why))
    for (source, cause), files in sorted(by_cause.items()):
        name, why = files[0]
        more = f" (and {len(files) - 1:,} more)" if len(files) > 1 else ""
        message = f"{source}: {formatting.counted(len(files), 'file')} not loaded: {name}: {why}{more}"
        found.append(Finding(OPERATIONS, f"refused {source}", message, cause=cause))
    return found


def _actions(settings: Settings) -> dict[str, list[int | str]]:
    by_rule: dict[str, list[int | str]] = {rule.name: list(range(len(rule.then))) for rule in settings.alerts.rules}
    return by_rule | {OPERATIONS: list(settings.alerts.told_of_operations)}
