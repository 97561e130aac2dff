"""Messages to a local mail server, posts to a local address, files; and that no secret is said."""

import asyncio
import errno
import json
import socket
import threading
from collections.abc import Iterator
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiosmtpd.controller import Controller

from retention_pipeline.alerts import deliver, load, night, save, tell_failure
from retention_pipeline.alerts.incidents import Finding, Incident, after
from retention_pipeline.settings import Home, Settings, parse_settings

NOW = datetime(2024, 4, 2, 2)


class Inbox:
    """A mail server's handler that keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope.content.decode())
        await asyncio.sleep(0)
        return "250 OK"


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    handler = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    address = f"mailto://127.0.0.1:{port}?from=pipeline@example.com&to=board@example.com&mode=insecure"
    monkeypatch.setenv("BOARD", address)
    yield handler
    server.stop()


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What was posted to /hook; other paths answer 500."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/hook":
                received.append(json.loads(body))
            self.send_response(200 if self.path == "/hook" else 500)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{server.server_port}/hook")
    monkeypatch.setenv("BROKEN_HOOK", f"http://127.0.0.1:{server.server_port}/very-secret")
    yield received
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with two things to do for customers."""
    made = Home(tmp_path / "shop")
    made.published.mkdir(parents=True)
    with duckdb.connect(str(made.current)) as connection:
        connection.execute(
            """
            create table customer_actions as
            select * from (values
                ('ann', 'payment_failed', 'i1', date '2024-04-01'), ('bob', 'renewal_due', 's1', '2024-04-02')
            ) as rows(customer_id, action, subject, due_on);
            create table at_risk as select 'ann' as customer_id, 'overdue' as reasons
            """
        )
    return made


def settings(when: dict[str, Any], *then: dict[str, Any]) -> Settings:
    return parse_settings(
        {
            "business": {"timezone": "UTC", "reporting_currency": "EUR"},
            "report": {"title": "Acme"},
            "alerts": {
                "channels": {"board": {"env": "BOARD"}, "unset": {"url": {"env": "NOT_SET_ANYWHERE"}}},
                "operations": ["board"],
                "rules": [{"name": "churn high", "when": when, "then": list(then)}],
            },
        }
    )


HIGH = {"kpi": "customer_churn_rate", "above": 0.05}


def incident(*waiting: int | str) -> Incident:
    finding = Finding("churn high", "all", "Churn is 6.0 %: above 5.0 %", value=0.06, period_start=date(2024, 3, 1))
    return Incident(1, finding, NOW, NOW, list(waiting))


def test_a_mail_says_what_a_rule_found(home: Home, inbox: Inbox) -> None:
    [one], problems = deliver(home, settings(HIGH, {"notify": "board"}), [incident(0)])
    assert (one.waiting, problems) == ([], [])
    assert "Acme: churn high" in inbox.mails[0] and "above 5.0 %" in inbox.mails[0].replace("=C2=A0", " ")


def test_a_post_is_the_alert_as_json(home: Home, posts: list[Any]) -> None:
    [one], problems = deliver(home, settings(HIGH, {"webhook": {"env": "HOOK"}}), [incident(0)])
    assert (one.waiting, problems) == ([], [])
    assert posts[0]["rule"] == "churn high" and posts[0]["value"] == 0.06 and posts[0]["period_start"] == "2024-03-01"


def test_what_fails_waits_and_is_said_without_its_address(home: Home, posts: list[Any]) -> None:
    asked = settings(HIGH, {"webhook": {"env": "BROKEN_HOOK"}}, {"notify": "unset"}, {"webhook": {"env": "HOOK"}})
    [one], problems = deliver(home, asked, [incident(0, 1, 2)])
    assert one.waiting == [0, 1] and len(posts) == 1
    assert problems == [
        "churn high: webhook BROKEN_HOOK: answered 500",
        "churn high: channel unset: environment variable NOT_SET_ANYWHERE is not set",
    ]


def test_no_server_and_no_address_are_said_without_secrets(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/secret-token")
    monkeypatch.setenv("BOARD", "nonsense-secret-token")
    [one], problems = deliver(home, settings(HIGH, {"webhook": {"env": "HOOK"}}, {"notify": "board"}), [incident(0, 1)])
    assert one.waiting == [0, 1] and len(problems) == 2
    assert not any("secret-token" in problem for problem in problems)


def test_a_table_is_exported(home: Home) -> None:
    deliver(home, settings(HIGH, {"export": "at_risk", "to": "exports/at_risk.csv"}), [incident(0)])
    assert (home.root / "exports" / "at_risk.csv").read_text() == "customer_id,reasons\nann,overdue\n"
    [one], problems = deliver(home, settings(HIGH, {"export": "nothing", "to": "x.csv"}), [incident(0)])
    assert one.waiting == [0] and problems == ["churn high: export: no table nothing is published"]


def test_each_action_for_a_customer_is_posted_and_exported_once(home: Home, posts: list[Any]) -> None:
    asked = settings(
        {"new_actions": True},
        {"webhook": {"env": "HOOK"}},
        {"export": "customer_actions", "to": "todo.csv"},
    )
    deliver(home, asked, [incident(0, 1)])
    assert [one["customer_id"] for one in posts[0]["actions"]] == ["ann", "bob"]
    assert len((home.root / "todo.csv").read_text().splitlines()) == 3
    with duckdb.connect(str(home.current)) as connection:
        connection.execute("insert into customer_actions values ('cat', 'renewal_due', 's2', date '2024-04-03')")
        connection.execute("delete from customer_actions where customer_id = 'ann'")
    deliver(home, asked, [incident(0, 1)])
    assert [one["customer_id"] for one in posts[1]["actions"]] == ["cat"]
    assert (home.root / "todo.csv").read_text().splitlines()[1:] == ["cat,renewal_due,s2,2024-04-03"]
    deliver(home, asked, [incident(0, 1)])
    assert len(posts) == 2


def test_a_failed_run_is_told_once(home: Home, inbox: Inbox) -> None:
    asked = settings(HIGH, {"notify": "board"})
    save(home, [incident()])
    assert tell_failure(home, asked, "the database does not answer", NOW) == []
    assert tell_failure(home, asked, "the database does not answer", NOW) == []
    assert len(inbox.mails) == 1 and "the database does not answer" in inbox.mails[0]
    assert [(one.alert_id, one.finding.rule) for one in load(home)] == [(1, "churn high"), (2, "operations")]


def test_another_cause_is_told_and_the_first_is_not_told_again(home: Home, inbox: Inbox) -> None:
    asked = settings(HIGH, {"notify": "board"})
    for reason in ("the database does not answer", "no rights", "the database does not answer"):
        assert tell_failure(home, asked, reason, NOW) == []
    assert ["no rights" in mail for mail in inbox.mails] == [False, True]


def test_the_end_of_an_incident_is_one_line_through_the_same_channels(
    home: Home, inbox: Inbox, posts: list[Any]
) -> None:
    asked = settings(HIGH, {"webhook": {"env": "HOOK"}}, {"notify": "board"})
    told, _ = deliver(home, asked, [incident(0, 1)])
    assert told[0].told == [1] and (len(inbox.mails), len(posts)) == (1, 1)
    over = after(told, [], NOW, actions={"churn high": [0, 1]}, judged={"churn high"})
    [one], problems = deliver(home, asked, over)
    assert (one.waiting, problems, len(posts)) == ([], [], 1)
    body = inbox.mails[1].replace("=C2=A0", " ").replace("=\n", "")
    assert "All clear, no longer so: Churn is 6.0 %: above 5.0 % (since 2 Apr 2024)" in body


def test_a_broken_list_of_incidents_hides_no_failure(home: Home) -> None:
    home.alerts.mkdir()
    home.incidents_file.write_text("{")
    [problem] = tell_failure(home, settings(HIGH, {"notify": "board"}), "broken", NOW)
    assert problem


def test_a_full_disk_is_said_with_the_path(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(night, "save", full)
    [problem] = tell_failure(home, settings(HIGH, {"notify": "board"}), "broken", NOW)
    assert problem == f"{home.incidents_file}: no space left on device"
