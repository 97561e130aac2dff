"""Settings: what is wrong is said at once, with the key's path, and never repeats a secret."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from retention_pipeline.settings import (
    FromEnvironment,
    Home,
    SettingsError,
    figure_settings,
    load_settings,
    parse_settings,
    resolve_home,
)

BUSINESS = {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"}
CUSTOMERS = {"customers": {"type": "files", "path": "c.csv"}}
COMPANIES = Path(__file__).parents[3] / "shared" / "data" / "companies"


def problems(content: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_settings(content)
    return str(caught.value).split("\n")


def test_the_least_that_is_needed_is_a_time_zone_and_a_currency() -> None:
    settings = parse_settings({"business": BUSINESS})
    assert settings.business.activity_window_days == 90
    assert settings.segments is None
    assert settings.connected_datasets == []


def test_all_problems_are_named_at_once_with_their_paths() -> None:
    named = problems(
        {
            "business": {"timezone": "Amsterdam", "week_start": "someday", "windows": 1},
            "sources": {"orders": {"type": "files", "path": "x", "colums": {}}, "payments": {"path": "x"}},
            "publish": {"keep_generations": 0},
        }
    )
    assert [line.split(":")[0] for line in named] == [
        "business.timezone",
        "business.reporting_currency",
        "business.week_start",
        "business.windows",
        "sources.orders.colums",
        "sources.payments",
        "publish.keep_generations",
    ]
    assert "business.windows: unknown key" in named
    assert "business.reporting_currency: is missing" in named


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"columns": {"total": "amount"}}, "sources.orders.columns.total: orders has no column of this name"),
        ({"values": {"status": {"done": ["x"]}}}, "sources.orders.values.status.done: unknown value (known: paid"),
        ({"columns": {"amount": {"row_hash": True}}}, "sources.orders.columns.amount: row_hash can only make the key"),
        ({"replace_by": "channel"}, "sources.orders.replace_by: 'channel' is not a required column of orders"),
        ({"ended_at_is_last_day": True}, "sources.orders.ended_at_is_last_day: orders has no column ended_at"),
        ({"dataset": "invoices"}, "sources.orders: unknown dataset 'invoices'"),
    ],
)
def test_a_source_must_fit_the_contract_of_its_dataset(source: dict[str, object], problem: str) -> None:
    named = problems({"business": BUSINESS, "sources": {"orders": {"type": "files", "path": "x", **source}}})
    assert len(named) == 1
    assert named[0].startswith(problem)


def orders_source(**settings: object) -> dict[str, object]:
    return {"business": BUSINESS, "sources": {"orders": {"type": "files", "path": "x", **settings}}}


@pytest.mark.parametrize(
    ("written", "hours"), [("36h", 36), ("3d", 72), ("90m", 1.5), ("2 w", 336), ("1.5d", 36), (" 36h ", 36)]
)
def test_an_age_is_a_number_and_a_unit(written: str, hours: float) -> None:
    assert parse_settings(orders_source(max_age=written)).sources["orders"].max_age == timedelta(hours=hours)


@pytest.mark.parametrize("written", [36, "36", "3 days", "0h", "-1d", True, ["3d"], "9" * 30 + "w"])
def test_what_is_no_age_is_said_with_an_example(written: object) -> None:
    (line,) = problems(orders_source(max_age=written))
    assert line.startswith("sources.orders.max_age: write a number above 0 with m, h, d or w, such as 36h or 3d")
    assert line.endswith(f"(given: {written!r})")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"max_shrink": 1}, "sources.orders.max_shrink: Input should be less than 1"),
        ({"max_shrink": "20 %"}, "sources.orders.max_shrink: Input should be a valid number"),
        ({"on_stale": "stop"}, "sources.orders.on_stale: Input should be 'warn' or 'block'"),
    ],
)
def test_limits_of_lateness_that_cannot_be_are_one_line(settings: dict[str, object], problem: str) -> None:
    (line,) = problems(orders_source(**settings))
    assert line.startswith(problem)


def test_pulls_of_what_changed_cannot_shrink() -> None:
    pull = {"type": "postgres", "dsn": {"env": "SHOP"}, "table": "t", "max_shrink": 0.2}
    assert parse_settings({"business": BUSINESS, "sources": {"orders": pull}}).sources["orders"].max_shrink == 0.2
    (line,) = problems({"business": BUSINESS, "sources": {"orders": {**pull, "cursor": "updated_at"}}})
    assert line.startswith("sources.orders.max_shrink: with a cursor only what changed is read")


def test_a_secret_written_into_the_file_is_not_repeated() -> None:
    source = {"type": "postgres", "table": "t", "dsn": "postgres://shop:hunter2@db/shop"}
    named = problems({"business": BUSINESS, "sources": {"orders": source}})
    assert named == ["sources.orders.dsn: write {env: NAME}, the environment variable that holds the connection string"]


@pytest.mark.parametrize(
    "source",
    [
        {"type": "postgresql", "table": "t", "dsn": "postgres://shop:hunter2@db/shop"},
        {"type": "postgres", "table": "t", "dsn": {"env": "postgres://shop:hunter2@db/shop"}},
        {"type": "postgres", "dsn": {"env": "postgres://shop:hunter2@db/shop"}},
        "postgres://shop:hunter2@db/shop",
        ["postgres://shop:hunter2@db/shop"],
    ],
)
def test_a_secret_in_a_wrong_place_is_not_repeated_either(source: object) -> None:
    for sources in ({"orders": source}, [source]):
        with pytest.raises(SettingsError) as caught:
            parse_settings({"business": BUSINESS, "sources": sources})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("dimensions", "most"), [(3, 2_097_149), (5, 6_206), (8, 232)])
def test_more_segment_values_than_a_profile_can_hold_are_refused(dimensions: int, most: int) -> None:
    segments = [f"column_{number}" for number in range(dimensions)]
    content = {"business": BUSINESS, "sources": CUSTOMERS, "segments": segments}
    parse_settings(content | {"max_segment_values": most})
    with pytest.raises(SettingsError, match=f"max_segment_values: at most {most:,} with {dimensions} segments"):
        parse_settings(content | {"max_segment_values": most + 1})


def test_grains_come_in_order_and_months_are_always_among_them() -> None:
    assert parse_settings({"business": BUSINESS}).grains == ["week", "month", "quarter", "year"]
    assert parse_settings({"business": BUSINESS, "grains": ["year", "month", "year"]}).grains == ["month", "year"]
    with pytest.raises(SettingsError, match="grains: month must be among them"):
        parse_settings({"business": BUSINESS, "grains": ["week"]})
    with pytest.raises(SettingsError, match=r"grains\.0: "):
        parse_settings({"business": BUSINESS, "grains": ["day", "month"]})


@pytest.mark.parametrize(
    ("when", "key"),
    [
        ({"kpi": "customers_end", "grain": "week", "above": 1}, "grain"),
        ({"period_complete": "week"}, "period_complete"),
    ],
)
def test_an_alert_of_a_grain_that_is_left_out_is_refused(when: dict[str, object], key: str) -> None:
    rule = {"name": "weeks", "when": when, "then": [{"export": "retention_kpis", "to": "weeks.csv"}]}
    with pytest.raises(SettingsError, match=f"alerts.rules.0.when.{key}: grains leaves week out"):
        parse_settings({"business": BUSINESS, "grains": ["month"], "alerts": {"rules": [rule]}})


def test_more_segments_than_a_profile_can_hold_are_refused() -> None:
    with pytest.raises(SettingsError, match="segments: 40 are too many"):
        parse_settings({"business": BUSINESS, "sources": CUSTOMERS, "segments": [f"c{number}" for number in range(40)]})


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "postgres://db")
    assert FromEnvironment(env="SHOP").read() == "postgres://db"
    monkeypatch.delenv("SHOP")
    with pytest.raises(SettingsError, match="environment variable SHOP is not set"):
        FromEnvironment(env="SHOP").read()


def test_a_dataset_may_have_several_sources() -> None:
    sources = {name: {"type": "files", "path": name, "dataset": "orders"} for name in ("shop", "web")}
    assert parse_settings({"business": BUSINESS, "sources": sources}).connected_datasets == ["orders"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "does not exist"),
        ("a: [", "not valid YAML"),
        ("- 1", "mapping"),
        ("sources:\n  orders: {path: 1}\n  orders: {path: 2}\n", "orders is there twice, in lines 2 and 3"),
        ("business: {min_n: 1, min_n: 5}", "min_n is there twice, in lines 1 and 1"),
        ("? [a]\n: 1\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_settings_is_one_clear_line(tmp_path: Path, content: str | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "settings.yaml").write_text(content)
    with pytest.raises(SettingsError, match=problem):
        load_settings(Home(tmp_path))


def test_the_home_is_the_argument_else_the_environment_else_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_HOME", str(tmp_path / "from_environment"))
    monkeypatch.chdir(tmp_path)
    assert resolve_home(tmp_path / "given").root == tmp_path / "given"
    assert resolve_home(None).root == tmp_path / "from_environment"
    monkeypatch.delenv("RETENTION_HOME")
    assert resolve_home(None).root == tmp_path


@pytest.mark.parametrize(
    "content",
    [
        {"business": BUSINESS | {"activity_window_days": 10**10}},
        {"business": BUSINESS | {"fx_max_age_days": 10**6}},
        {"business": BUSINESS, "close_after_days": 10**10},
        {"business": BUSINESS, "max_segment_values": 10**12},
    ],
)
def test_numbers_that_no_calendar_and_no_table_holds_are_refused(content: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="should be less than or equal to"):
        parse_settings(content)


@pytest.mark.parametrize("name", ["what?", "back\\slash"])
def test_a_home_that_duckdb_would_look_for_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="which DuckDB cannot open: choose another"):
        resolve_home(tmp_path / name / "home")


def test_settings_that_move_figures_are_plain_and_do_not_hold_the_others() -> None:
    one = parse_settings({"business": BUSINESS, "publish": {"keep_generations": 9}, "history_start": "2020-01-01"})
    figures = figure_settings(one)
    assert figures == figure_settings(parse_settings({"business": BUSINESS, "history_start": "2020-01-01"}))
    assert figures != figure_settings(parse_settings({"business": {**BUSINESS, "min_n": 1}}))
    assert figures["history_start"] == "2020-01-01"


@pytest.mark.skipif(not COMPANIES.is_dir(), reason="the companies are not here")
def test_the_settings_of_the_companies_can_be_read() -> None:
    for company in sorted(COMPANIES.iterdir()):
        content = yaml.safe_load((company / "settings.yaml").read_text())
        assert list(content["sources"]) != []
        assert load_settings(Home(company)).business.timezone == content["business"]["timezone"]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("99 * * * *", "'99' is not a minute (0 to 59)"),
        ("0 2 * *", "write five fields"),
        ("0 2 30-2 * *", "'30-2' is not a day of the month"),
        ("0 2 * * */0", "'*/0' is not a day of the week"),
        ("tonight at two o'clock please", "not a minute"),
    ],
)
def test_a_schedule_that_no_daemon_could_keep_is_refused(cron: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({"business": BUSINESS, "schedule": {"cron": cron}})
    assert str(caught.value).startswith("schedule.cron: ") and said in str(caught.value)


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/15 1-5,22 1,15 jan-mar mon-fri", "@daily", "30 3 L * 7"])
def test_schedules_of_every_form_are_accepted(cron: str) -> None:
    assert parse_settings({"business": BUSINESS, "schedule": {"cron": cron}}).schedule.cron == cron


def test_segments_that_can_be_no_column_are_all_refused_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({"business": BUSINESS, "sources": CUSTOMERS, "segments": ["plan", "home town", "order", "size"]})
    assert [line.split("'")[1] for line in str(caught.value).splitlines()] == ["home town", "order"]


def test_columns_of_customers_that_mean_something_else_are_no_segments() -> None:
    names = ["country", "referred_by", "signed_up_at", "size"]
    with pytest.raises(SettingsError) as caught:
        parse_settings({"business": BUSINESS, "sources": CUSTOMERS, "segments": names})
    assert [line.split("'")[1] for line in str(caught.value).splitlines()] == ["referred_by", "signed_up_at"]


def test_a_segment_that_is_misspelt_is_refused_where_no_customers_could_have_it() -> None:
    with pytest.raises(SettingsError, match=r"segments: there is no dimension 'plann' \(there are country, "):
        parse_settings({"business": BUSINESS, "segments": ["plann"]})


def test_what_is_wrong_with_several_settings_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(
            {"business": BUSINESS, "segments": ["plann", "home town"], "schedule": {"cron": "99 * * * *"}, "colour": 1}
        )
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == [
        "schedule.cron:", "colour:", "segments:", "segments:",
    ]  # fmt: skip


def test_a_source_in_the_lake_says_what_it_needs() -> None:
    lake = {"type": "lake", "table": "bronze.orders"}
    spark = {"engine": "spark", "spark": {"remote": {"env": "SPARK_REMOTE"}}}
    settings = parse_settings({"business": BUSINESS, "sources": {"orders": lake}, **spark})
    assert settings.connected_datasets == ["orders"]
    assert problems({"business": BUSINESS, "sources": {"orders": lake}}) == [
        "sources.orders: a source in the lake is read by Spark alone: set engine: spark, or deliver its files"
        " (type: files)"
    ]
    places = {"a": {"dataset": "orders", **lake}, "b": {"dataset": "orders", "type": "files", "path": "o.csv"}}
    private = {"privacy": {"key": {"env": "KEY"}, "pseudonymise": {"a": ["email"]}}}
    assert [line.split(":")[0] for line in problems({"business": BUSINESS, "sources": places, **spark, **private})] == [
        "sources.a",
        "privacy.pseudonymise.a",
    ]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({}, "give one of table, folder and query"),
        ({"table": "a.b", "folder": "/lake/a"}, "give one of table, folder and query"),
        ({"table": "a; drop"}, "the name of a table is expected, such as bronze.orders"),
        ({"folder": "s3://key:secret@bucket/a"}, "credentials are the cluster's, never part of an address"),
        ({"table": "a.b", "replace_by": "order_id"}, "a table of the lake holds every value in full"),
    ],
)
def test_a_place_in_the_lake_is_one_of_three(place: dict[str, str], said: str) -> None:
    spark = {"engine": "spark", "spark": {"remote": {"env": "SPARK_REMOTE"}}}
    named = problems({"business": BUSINESS, "sources": {"orders": {"type": "lake", **place}}, **spark})
    assert len(named) == 1 and said in named[0] and "secret" not in named[0]
