"""What follows from an alert: a message to a channel, a published table as a file, a post to an address.

Addresses are secrets. They come from the environment and stand in no message, no record and no error text.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import duckdb

from retention_pipeline import formatting
from retention_pipeline.alerts.incidents import OPERATIONS, Incident, as_row
from retention_pipeline.alerts.new_actions import ACTIONS, mark_sent, unsent
from retention_pipeline.publish.csv_files import guarded, write_file
from retention_pipeline.settings import Home, Settings
from retention_pipeline.settings.alerts import Channel, Export, Notify, Rule, Webhook, read_secret
from retention_pipeline.warehouse import has_table, opened

SECONDS_TO_CONNECT, SECONDS_TO_ANSWER = 10, 30


class NotDone(Exception):
    """An action could not be carried out; the text says why, without the address."""


def deliver(
    home: Home, settings: Settings, incidents: Sequence[Incident], *, texts: Callable[[], list[str]] | None = None
) -> tuple[list[Incident], list[str]]:
    """Do what incidents wait for; those that are over wait for one line that says so, in the channels that were told.
    Returns the incidents as they are then and, in words, what could not be done; that stays waiting. texts: the
    sentences of the report's summary, for messages of completed periods.
    """
    rules = {rule.name: rule for rule in settings.alerts.rules}
    result, problems = [], []
    for one in incidents:
        left: list[int | str] = []
        told = list(one.told)
        for waiting in one.waiting:
            try:
                channel = _channel(rules.get(one.finding.rule), waiting)
                if channel is not None and one.is_all_clear:
                    send(home, settings, channel, title(home, settings, one), all_clear(one))
                elif isinstance(waiting, str):
                    send(home, settings, waiting, title(home, settings, one), one.finding.message)
                elif one.finding.rule in rules and waiting < len(rules[one.finding.rule].then):
                    act(home, settings, rules[one.finding.rule], waiting, one, texts=texts)
                told += [waiting] if channel is not None and waiting not in told else []
            except NotDone as problem:
                left.append(waiting)
                problems.append(f"{one.finding.rule}: {problem}")
        result.append(replace(one, waiting=left, told=told))
    return result, list(dict.fromkeys(problems))


def act(
    home: Home,
    settings: Settings,
    rule: Rule,
    position: int,
    incident: Incident,
    *,
    texts: Callable[[], list[str]] | None = None,
) -> None:
    """Carry out the action at this position of a rule. Raises NotDone."""
    action = rule.then[position]
    if isinstance(action, Notify):
        lines = [incident.finding.message]
        if rule.when.period_complete is not None and texts is not None:
            lines += texts()
        send(home, settings, action.notify, title(home, settings, incident), "\n".join(lines))
    elif isinstance(action, Export):
        _export(home, settings, action, rule, position)
    else:
        _post(home, action, incident, rule, position)


def _channel(rule: Rule | None, waiting: int | str) -> str | None:
    """The channel of an action that is a message; None of another action, and of one that is no longer there."""
    if isinstance(waiting, str):
        return waiting
    action = rule.then[waiting] if rule is not None and waiting < len(rule.then) else None
    return action.notify if isinstance(action, Notify) else None


def all_clear(incident: Incident) -> str:
    """One line: `All clear, no longer so: orders stale: … (since 3 Nov 2026)`."""
    [first, *_] = incident.finding.message.splitlines()
    return f"All clear, no longer so: {first} (since {formatting.day(incident.opened_at.date())})"


def title(home: Home, settings: Settings, incident: Incident) -> str:
    """The subject of a message."""
    company = settings.report.title or home.root.name
    what = "the pipeline" if incident.finding.rule == OPERATIONS else incident.finding.rule
    return f"{company}: {what}"


def send(home: Home, settings: Settings, channel: str, subject: str, text: str) -> None:
    """One message to a channel. Raises NotDone."""
    known = settings.alerts.channels.get(channel)
    if known is None:
        raise NotDone(f"there is no channel {channel!r}")
    address = read_secret(known.url)
    if address is None:
        raise NotDone(f"channel {channel}: environment variable {known.url.env} is not set")
    _apprise(home, channel, known, address, subject, text)


def test_channel(home: Home, settings: Settings, channel: str) -> None:
    """Send a message that says it is a test. Raises NotDone."""
    company = settings.report.title or home.root.name
    send(home, settings, channel, f"{company}: test", "This is a test: alerts of the retention pipeline arrive here.")


def _apprise(home: Home, name: str, channel: Channel, address: str, subject: str, text: str) -> None:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its log has addresses
    server = apprise.Apprise()
    if not server.add(address):
        raise NotDone(f"channel {name}: {channel.url.env} does not hold an address that Apprise understands")
    page = home.report / "index.html"
    attached = str(page) if channel.attach_report and page.exists() else None
    if not server.notify(body=text, title=subject, body_format=apprise.NotifyFormat.TEXT, attach=attached):
        raise NotDone(f"channel {name}: the message was not taken (it is tried again after the next run)")


def _export(home: Home, settings: Settings, action: Export, rule: Rule, position: int) -> None:
    path = (home.root / action.to).resolve()
    is_clock = action.export == ACTIONS and rule.when.new_actions is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(home.current, read_only=True) as connection:
            if not has_table(connection, action.export):
                raise NotDone(f"export: no table {action.export} is published")
            rows = f'"{action.export}"'
            if is_clock:
                assert rule.when.new_actions is not None
                if not unsent(home, connection, rule.slug, position, rule.when.new_actions):
                    return
                rows = "unsent_actions"
            shown = guarded(
                connection,
                rows,
                is_guarded=path.suffix == ".csv" and settings.publish.guard_csv,
                with_customers=settings.privacy.export_customers,
            )
            write_file(connection, shown, path, path.suffix.removeprefix("."))
            if is_clock:
                mark_sent(home, connection, rule.slug, position)
    except (OSError, duckdb.Error) as error:
        raise NotDone(f"export to {action.to}: {' '.join(str(error).split())}") from error


def _post(home: Home, action: Webhook, incident: Incident, rule: Rule, position: int) -> None:
    import requests

    address = read_secret(action.webhook)
    if address is None:
        raise NotDone(f"webhook: environment variable {action.webhook.env} is not set")
    content: dict[str, Any] = {name: _plain(value) for name, value in as_row(incident).items()}
    with opened(home.current, read_only=True) as connection:
        if rule.when.new_actions is not None:
            rows = unsent(home, connection, rule.slug, position, rule.when.new_actions)
            if not rows:
                return
            content["actions"] = [{name: _plain(value) for name, value in row.items()} for row in rows]
        try:
            answer = requests.post(
                address,
                data=json.dumps(content, default=str, allow_nan=False),
                headers={"Content-Type": "application/json"},
                timeout=(SECONDS_TO_CONNECT, SECONDS_TO_ANSWER),
            )
        except requests.RequestException as error:  # its text has the address
            raise NotDone(f"webhook {action.webhook.env}: {type(error).__name__}") from None
        if not answer.ok:
            raise NotDone(f"webhook {action.webhook.env}: answered {answer.status_code}")
        if rule.when.new_actions is not None:
            mark_sent(home, connection, rule.slug, position)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
