"""A person is forgotten: no byte of the home names them, no figure changes, and nothing brings them back."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.plain_run import run
from support.small_shop import AS_OF, ORDERS, deliver, open_shop

from retention_pipeline.cli.app import main
from retention_pipeline.history.archive import rewrite
from retention_pipeline.ingest import ingest
from retention_pipeline.ingest.door import Names
from retention_pipeline.ingest.packed import Unpacked
from retention_pipeline.ingest.rebuild import rebuild_raw
from retention_pipeline.run import forgetting, forgetting_in_tables
from retention_pipeline.run.copies import look_at_copies
from retention_pipeline.run.forgetting import forget
from retention_pipeline.settings import Home, Settings, load_settings
from retention_pipeline.warehouse import opened, opened_raw, tables_in

WHO, EMAIL, GUEST = "buys_once", "once.again@example.com", "guest-4711"
PEOPLE = f"""customer_id,valid_from,signed_up_at,country,acquisition_channel,email,note
{WHO},,2024-02-01,NL,ads,{EMAIL},"likes tea, {WHO}"
stays,,2024-01-02,NL,ads,stays@example.com,friend of {EMAIL}
"""
# Of one's own run only: when, which, and what it cost.
OF_THE_RUN = {"pipeline_runs", "pipeline_state", "pipeline_loads", "data_quality", "publications", "alerts"}
NAMES_PEOPLE = ("customer_id", "alias_id", "referred_by")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = open_shop(tmp_path_factory.mktemp("forget") / "home", further=True, months_alone=True)
    text = home.settings_file.read_text()
    home.settings_file.write_text(text + "privacy: {key: {env: PRIVACY_KEY}}\nmax_quarantine_rate: 0.9\n")
    deliver(home, "customers", "customers.csv", PEOPLE)
    deliver(home, "customer_aliases", "customer_aliases.csv", f"alias_id,customer_id,valid_from\n{GUEST},{WHO},\n")
    header = ORDERS.splitlines()[0]
    rows = f"20,{GUEST},2024-03-20 09:00:00,9.00,EUR,paid\n21,{WHO},2024-03-20 09:00:00,much,EUR,paid\n"
    deliver(home, "orders", "more.csv", f"{header}\n{rows}")
    os.environ["PRIVACY_KEY"] = "secret of the test"
    retention(home, "run", "--as-of", AS_OF.isoformat())
    return home.root


@pytest.fixture
def home(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PRIVACY_KEY", "secret of the test")
    shutil.copytree(shop, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def retention(home: Home, *arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--home", str(home.root)])
    assert (ended.value.code or 0) == code


def tables(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every published table without what names people and without what a run says of itself."""
    found = {}
    with opened(file, read_only=True) as connection:
        for table in sorted(tables_in(connection) - OF_THE_RUN):
            columns = [name for name, *_ in connection.execute(f"describe {table}").fetchall()]
            told = [
                one for one in columns if not one.endswith(NAMES_PEOPLE) and one not in ("raw", "run_id", "row_key")
            ]
            told = [one for one in told if one not in ("computed_at", "known_from", "known_to", "published_at")]
            if told:
                listed = ", ".join(f'"{one}"' for one in told)
                found[table] = connection.execute(f"select {listed} from {table} order by all").fetchall()
    return found


def named(home: Home) -> list[str]:
    """The files whose bytes hold an id or the address of the person, unpacked where they are packed."""
    signs = [one.encode() for one in (WHO, EMAIL, GUEST)]
    hits = []
    with opened(Path(":memory:")) as connection:
        for path in sorted(home.root.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += str(connection.execute(f"from read_parquet('{path}')").fetchall()).encode()
            hits += [str(path.relative_to(home.root)) for one in signs if one in content]
    return hits


def name_them_in_the_history(home: Home) -> None:
    """As if the publication had restated a figure because of their rows."""
    rows = f"""
        select 'order_revenue' as kpi, 'month' as grain, date '2024-03-01' as period_start, 'order' as basis,
            'all' as segment_dimension, 'all' as segment_value, 'late' as cause, '{WHO}' as customer_id, dataset,
            row_key, 1 as load_id, 1.0 as numerator_delta
        from (values ('customers', '{WHO} '), ('customer_aliases', '{GUEST}'), ('orders', '20')) as t (dataset, row_key)
    """
    with opened(home.current.resolve()) as connection:
        connection.execute(f"insert into restatement_rows by name select 1 as generation, * from ({rows})")
    assert rewrite(
        home,
        lambda connection, table: connection.execute(
            f"create or replace table {table} as from {table} union all by name "
            f"select 'restatement_rows' as record, 1 as generation, * from ({rows})"
        ),
    )


def test_nothing_names_a_forgotten_person_and_no_figure_changes(home: Home, tmp_path: Path) -> None:
    name_them_in_the_history(home)
    before = tables(home.current.resolve())
    assert named(home)
    original = tmp_path / "original"
    shutil.copytree(home.root / "landing", original)
    retention(home, "forget", WHO)
    assert named(home) == []
    assert tables(home.current.resolve()) == before
    assert len(list(home.published.glob("g*.duckdb"))) == 1
    with opened_raw(home) as raw:
        [(key, name)] = raw.execute(
            "select customer_key, customer_id from raw.customer_keys join raw.orders using (customer_id)"
            " where order_id = '6'"
        ).fetchall()
        assert name.startswith("forgotten-") and key is not None
        [(note,)] = raw.execute("select _extra from raw.customers where customer_id = 'stays'").fetchall()
        assert "friend of forgotten-" in note
        assert raw.execute("select raw from raw.quarantine").fetchall() == [(b"",)]
    shutil.copytree(original, home.root / "landing", dirs_exist_ok=True)  # everything is delivered again
    now = datetime.now(UTC).replace(tzinfo=None)
    run(home, load_settings(home), AS_OF, now=now, full_refresh=True)
    shutil.rmtree(home.root / "landing")
    assert named(home) == []
    after = tables(home.current.resolve())
    assert {name for name in before if before[name] != after[name]} == set()
    with opened_raw(home) as raw:
        loads = raw.execute("select count(*) from raw.ledger").fetchall()
        sums = raw.execute("select count(*), sum(amount), count(distinct customer_id) from raw.orders").fetchall()
        keys = raw.execute("select count(*) from raw.customer_keys").fetchall()
    rebuilt = rebuild_raw(home, load_settings(home))
    assert rebuilt.left_out == []
    with opened_raw(home) as raw:
        assert raw.execute("select count(*) from raw.ledger").fetchall() == loads
        assert raw.execute("select count(*) from raw.customer_keys").fetchall() == keys
        assert (
            raw.execute("select count(*), sum(amount), count(distinct customer_id) from raw.orders").fetchall() == sums
        )
    (home.warehouse / "raw.replaced.duckdb").unlink()
    assert named(home) == []


def test_an_id_of_few_signs_is_exchanged_in_keys_of_rows_that_have_one() -> None:
    with opened(Path(":memory:")) as connection:
        connection.execute(
            "create table rows as from (values ('customers', 'c1 2024-01-01 00:00:00'), ('orders', 'c1'),"
            " ('emails', 'm9 c1 sent'), ('customers', 'c11 ')) as t(dataset, row_key)"
        )
        forgetting_in_tables.forget_in_tables(connection, Names({"c1": "forgotten-9"}), {})
        assert [key for (key,) in connection.execute("select row_key from rows").fetchall()] == [
            "forgotten-9 2024-01-01 00:00:00", "c1", "m9 forgotten-9 sent", "c11 "
        ]  # fmt: skip


def test_who_is_not_known_is_told_and_nothing_changes(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    before = home.raw_file.read_bytes()
    retention(home, "forget", "nobody", code=1)
    assert "no customer has the id nobody; nothing was changed" in " ".join(capsys.readouterr().err.split())
    assert home.raw_file.read_bytes() == before


def test_without_a_key_forgetting_says_what_to_set(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PRIVACY_KEY")
    retention(home, "forget", WHO, code=1)
    assert "environment variable PRIVACY_KEY is not set" in " ".join(capsys.readouterr().err.split())


def raw_home(root: Path, sources: str) -> tuple[Home, Settings]:
    (root / "settings.yaml").write_text(
        "business: {timezone: UTC, reporting_currency: EUR}\nprivacy: {key: {env: PRIVACY_KEY}}\n"
        f"sources: {{orders: {sources}}}\n"
    )
    return Home(root), load_settings(Home(root))


def orders_in(home: Home) -> list[tuple[Any, ...]]:
    with opened_raw(home) as raw:
        return raw.execute("select order_id, amount, status, ordered_at from raw.orders order by all").fetchall()


def test_packed_pulls_are_rewritten_with_those_that_build_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVACY_KEY", "secret of the test")
    home, settings = raw_home(tmp_path, "{type: duckdb, path: shop.duckdb, table: orders, timezone: UTC}")
    for number, statement in enumerate(
        (
            "create table orders as select i as order_id, 'customer_' || i % 90 as customer_id, timestamp '2024-03-01'"
            " as ordered_at, 5.00 as amount, 'EUR' as currency, 'paid' as status from range(500) as r(i)",
            "update orders set amount = 1 where order_id = 7",
            f"insert into orders values (900, '{WHO}', timestamp '2024-04-01', 9, 'EUR', 'paid')",
            "update orders set amount = 2 where order_id = 7",
            f"delete from orders where customer_id = '{WHO}'",
        )
    ):
        with opened(tmp_path / "shop.duckdb") as shop:
            shop.execute(statement)
        ingest(home, settings, now=datetime(2024, 5, 1 + number, 3))
    (tmp_path / "shop.duckdb").unlink()
    before = orders_in(home)
    assert forget(home, settings, [WHO], now=datetime(2024, 5, 9)).left == []
    copies = look_at_copies(home)
    assert (len(copies.files), copies.damaged, copies.missing) == (5, {}, {})
    with Unpacked(tmp_path / "look") as unpacked:
        contents = [unpacked.plain(path).read_text() for path in copies.files]
    assert sum("forgotten-" in one for one in contents) == 2 and not any(WHO in one for one in contents)
    assert rebuild_raw(home, settings).left_out == []
    assert orders_in(home) == before


@pytest.mark.parametrize("who", ["aaaa_person", "zzzz_person"])
def test_of_two_versions_of_one_moment_the_same_stays_current_after_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setenv("PRIVACY_KEY", "secret of the test")
    home, settings = raw_home(tmp_path, "{type: files, path: landing/*.csv, timezone: UTC}")
    (tmp_path / "landing").mkdir()
    for number, customer in enumerate(("mmmm_other", who, "mmmm_other", who)):
        (tmp_path / "landing" / f"{number}.csv").write_text(
            "order_id,customer_id,ordered_at,amount,currency,status,updated_at,note\n"
            f"{number // 2},{customer},2024-03-0{number % 2 + 1} 12:00:00,{9 - number % 2 * number},EUR,paid,"
            f"2024-03-05 00:00:00,note {9 - number}\n"
        )
    ingest(home, settings, now=datetime(2024, 5, 1, 3))
    before = orders_in(home)
    forget(home, settings, [who], now=datetime(2024, 5, 9))
    assert orders_in(home) == before
    rebuild_raw(home, settings)
    assert orders_in(home) == before


POINTS = (
    "write_forgotten", "_addresses_in_raw", "rewritten_archive", "forget_in_raw", "rewrite_landing",
    "remove_put_aside", "forget_in_generation", "export_tables", "forget_in_history", "forget_in_texts", "still_named",
)  # fmt: skip


@pytest.mark.parametrize(
    "point", [pytest.param(one, marks=() if one == "rewrite_landing" else pytest.mark.proof) for one in POINTS]
)
@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.long)])
def test_a_command_that_was_ended_is_finished_by_the_same_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, point: str, when: str
) -> None:
    before = tables(home.current.resolve())
    settings = load_settings(home)
    function = getattr(forgetting, point)

    def ended(*arguments: Any, **named_ones: Any) -> None:
        if when == "after":
            function(*arguments, **named_ones)
        raise KeyboardInterrupt

    monkeypatch.setattr(forgetting, point, ended)
    with pytest.raises(KeyboardInterrupt):
        forget(home, settings, [WHO], now=datetime(2024, 5, 9))
    monkeypatch.setattr(forgetting, point, function)
    assert forget(home, settings, [WHO], now=datetime(2024, 5, 9)).left == []
    assert named(home) == []
    assert tables(home.current.resolve()) == before
    assert len(list(home.published.glob("g*.duckdb"))) == 1
    assert not list(home.warehouse.glob("forget*"))
