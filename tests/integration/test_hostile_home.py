"""A home whose data are full of texts made to act, through every verb: terminal, JSON, CSV, page, Dagster's history."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import sqlite3
from pathlib import Path

import pytest
import yaml
from unit.test_many_hostile_texts import ACTS, PIECES

from retention_pipeline.cli.app import main
from retention_pipeline.settings import Home

pytestmark = pytest.mark.proof
AS_OF = "2024-05-10"
SETTINGS = {
    "business": {"timezone": "UTC", "reporting_currency": "EUR", "min_n": 1},
    "history_start": "2024-01-01",
    "grains": ["month"],
    "max_quarantine_rate": 0.9,
    "sources": {
        "orders": {"type": "files", "path": "landing/orders/*", "timezone": "UTC"},
        "lists": {"type": "files", "dataset": "orders", "path": "landing/lists/*.json", "timezone": "UTC"},
        "customers": {"type": "files", "path": "landing/customers/*", "timezone": "UTC"},
        "subscriptions": {"type": "files", "path": "landing/subscriptions/*", "timezone": "UTC"},
    },
    "alerts": {
        "rules": [
            {
                "name": "many",
                "when": {"kpi": "customers_end", "basis": "order", "segment": {"country": "*"}, "above": 0},
                "then": [{"export": "at_risk", "to": "exports/at_risk.csv"}],
            }
        ]
    },
}


def hostile_text(dice: random.Random) -> str:
    """One that is an id: not empty, and without what ids lose at their ends."""
    return f"{dice.choice(('=', '+', '@', '<'))}1{''.join(dice.choices(PIECES, k=dice.randint(2, 6)))}z".replace(
        "\0", ""
    )


@pytest.fixture(scope="module", params=[60, pytest.param(10_000, marks=pytest.mark.long)])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """As published by the command: hostile customers, channels, reasons, plans, names of files and refused lines."""
    dice = random.Random(18)
    home = Home(tmp_path_factory.mktemp("hostile") / "home")
    home.root.mkdir()
    home.settings_file.write_text(yaml.safe_dump(SETTINGS))
    orders, customers, phases = [], [], []
    for number in range(request.param):
        customer, day = hostile_text(dice), f"2024-0{1 + number % 4}-10"
        order = {"order_id": f"{hostile_text(dice)}{number}", "customer_id": customer, "ordered_at": day, "amount": 9.5}
        orders.append(order | {"currency": "EUR", "status": "paid", "channel": hostile_text(dice)})
        if number % 3 == 0:
            orders.append(orders[-1] | {"order_id": f"bad{number}", "status": hostile_text(dice)})
        customers.append({"customer_id": customer, "country": dice.choice(("NL", "all", hostile_text(dice)))})
        phase = {"subscription_id": f"s{number}", "customer_id": customer, "plan": hostile_text(dice), "amount": 10}
        ended = "2024-04-20" if number % 2 else None
        phases.append(
            {**phase, "currency": "EUR", "interval": "month", "status": "active", "started_at": day, "ended_at": ended}
            | {"end_reason": hostile_text(dice)}
        )
    half = len(orders) // 2
    files = {
        f"orders/{'a [x](y) <b>;=1'}.jsonl": "".join(json.dumps(row) + "\n" for row in orders[:half]),
        "lists/one.json": json.dumps(orders[half:]) + "\n",
        "customers/1.jsonl": "".join(json.dumps(row) + "\n" for row in customers),
        "subscriptions/1.jsonl": "".join(json.dumps(row) + "\n" for row in phases),
    }
    for name, text in files.items():
        path = home.root / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises(SystemExit) as ended_with:
        main(["run", "--home", str(home.root), "--as-of", AS_OF])
    assert ended_with.value.code in (0, None)
    return home


def said_by(home: Home, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--home", str(home.root)])
    out, err = capsys.readouterr()
    assert ended.value.code in (0, 1, None), err
    assert "Traceback" not in err
    assert not ACTS.search((err + ("" if "csv" in arguments else out)).replace("\n", ""))
    return out


FIGURE = ("customers_end", "2024-03", "--basis", "order")
SHOWN: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "status": ("status",),
    "doctor": ("doctor",),
    "quarantine": ("quarantine", "--limit", "0"),
    "reasons": ("quarantine", "--by-reason"),
    "figures": ("kpis",),
    "segments": ("kpis", "customer_churn_rate", "--segment", "plan", "--basis", "subscription"),
    "explain": ("explain", *FIGURE, "--customers"),
    "segment": ("explain", "customers_end", "2024-03", "--basis", "order", "--segment", "country=NL", "--customers"),
    "variants": ("explain", "customer_churn_rate", "2024-04", "--basis", "subscription", "--variants"),
    "query": ("query", "from retention_kpis", "--limit", "0"),
    "customers": ("query", "select * from int_customers", "--limit", "0"),
    "reasons of loss": ("query", "from lost_by_reason", "--limit", "0"),
    "alerts": ("alerts",),
    "summary": ("report", "--summary"),
    "unknown plan": ("kpis", "customer_churn_rate", "--segment", "plan=\x1b[31m<b>"),
    "wrong SQL": ("query", "select '\x1b[31m' from \"\x1b]0;x\x07\""),
}


@pytest.mark.parametrize("verb", SHOWN)
def test_nothing_acts_in_the_terminal(home: Home, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    said_by(home, capsys, *SHOWN[verb])


@pytest.mark.parametrize("verb", ["status", "quarantine", "segments", "explain", "customers", "alerts"])
def test_json_is_json(home: Home, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    json.loads(said_by(home, capsys, *SHOWN[verb], "--json"), parse_constant=lambda name: pytest.fail(name))


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def is_guarded(cell: str) -> bool:
    return not re.match(r"[=+@\t\r]|-(?![\d.])", cell)


def test_no_spreadsheet_runs_what_is_exported(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    written = [said_by(home, capsys, "query", "from int_customers", "--format", "csv")]
    for file, arguments in {
        "explained.csv": ("explain", *FIGURE, "--csv"),
        "refused.csv": ("quarantine", "--to"),
    }.items():
        said_by(home, capsys, *arguments, str(tmp_path / file))
        written.append((tmp_path / file).read_bytes().decode())
    said_by(home, capsys, "export", str(tmp_path / "out"), "--format", "csv")
    written += [path.read_bytes().decode() for path in (tmp_path / "out").glob("*.csv")]
    assert len(written) > 20
    assert [cell for text in written for cell in cells(text) if not is_guarded(cell)] == []
    assert sum("'=1" in text for text in written) >= 3


def test_the_page_has_text_from_data_in_no_markup(home: Home) -> None:
    page = (home.root / "report" / "index.html").read_text()
    assert "<img src=x" not in page and "<script>alert" not in page and "<b>" not in page
    assert page.count("<script") == page.count("</script>")


def test_dagsters_history_has_no_markup_from_data(home: Home) -> None:
    """Of all metadata that is Markdown."""
    found = 0
    for file in (home.dagster / "history").rglob("*.db"):
        with sqlite3.connect(file) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
            if "event_logs" not in tables:
                continue
            for (event,) in connection.execute("select event from event_logs"):
                for text in re.findall(r'"md_str": ("(?:[^"\\]|\\.)*")', event):
                    shown = json.loads(text)
                    found += 1
                    assert "<img" not in shown and "<b>" not in shown and "<script" not in shown
                    assert not ACTS.search(shown.replace("\n", ""))
                    assert not re.search(r"(?<!\\)(?:\\\\)*\[[^\]]*(?<!\\)\]\(", shown)
    assert found > 10
