"""The verbs below `alerts`: what is open, that somebody has seen it, whether a channel works."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.alerts import Incident, acknowledge, as_row, load, test_channel
from retention_pipeline.cli.json_output import print_json
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.settings import load_settings, resolve_home


class NoSuchAlert(Exception):
    """There is no such alert, or it is over."""


class NoChannel(Exception):
    """The settings name no channel."""


def alerts(home: Path | None, *, with_all: bool, as_json: bool) -> None:
    """The open alerts, newest last; `with_all`: also those that are over."""
    found = [one for one in load(resolve_home(home)) if with_all or one.is_open]
    if as_json:
        print_json([as_row(one) | {"not_delivered": len(one.waiting)} for one in found])
        return
    console = terminal(highlight=False)
    if not found:
        console.print("No alert is open.")
    for one in found:
        print_alert(console, one)


def ack(home: Path | None, alert_ids: list[int], *, with_all: bool, as_json: bool) -> None:
    """Somebody has seen these alerts: they are not told of again while they stay open."""
    place = resolve_home(home)
    waiting = {one.alert_id for one in load(place) if one.is_open and one.acknowledged_at is None}
    asked = sorted(waiting) if with_all else alert_ids
    if unknown := [str(one) for one in asked if one not in waiting]:
        raise NoSuchAlert(f"no open alert that waits for it: {', '.join(unknown)} (see: retention alerts)")
    seen = acknowledge(place, asked, datetime.now(UTC).replace(tzinfo=None))
    if as_json:
        print_json([as_row(one) for one in seen])
    else:
        terminal(highlight=False).print(f"{formatting.counted(len(seen), 'alert')} acknowledged.")


def test(home: Path | None, channels: list[str]) -> None:
    """Send a test message to channels (none named: to all)."""
    place = resolve_home(home)
    settings = load_settings(place)
    names = channels or list(settings.alerts.channels)
    if not names:
        raise NoChannel("settings.yaml has no channels (alerts: channels)")
    for name in names:
        test_channel(place, settings, name)
        terminal(highlight=False).print(Text(f"{name}: sent"))


def print_alert(console: Console, incident: Incident) -> None:
    """`12  churn high: Customer churn of Oct 2026 is 6.1 %: above 5.0 %  (since 3 Nov 2026, acknowledged)`."""
    notes = [f"since {formatting.day(incident.opened_at.date())}"]
    notes += ["acknowledged"] if incident.acknowledged_at else []
    notes += [f"over since {formatting.day(incident.resolved_at.date())}"] if incident.resolved_at else []
    notes += ["not delivered yet"] if incident.waiting else []
    console.print(
        Text.assemble(
            (f"{incident.alert_id:>4}  ", "dim"),
            (incident.finding.rule, "bold"),
            f": {formatting.indented(incident.finding.message, 6)}",
            (f"  ({', '.join(notes)})", "dim"),
        ),
        soft_wrap=True,
    )
