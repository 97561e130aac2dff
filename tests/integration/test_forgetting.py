"""A person is forgotten: no byte of the home names them, no figure changes, and nothing brings them back."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.small_shop import AS_OF, ORDERS, deliver, open_shop

from retention_pipeline.cli.app import main
from retention_pipeline.ingest.rebuild import rebuild_raw
from retention_pipeline.settings import Home, load_settings
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
    home = open_shop(tmp_path_factory.mktemp("forget") / "home", further=True)
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
    import duckdb

    signs = [one.encode() for one in (WHO, EMAIL, GUEST)]
    hits = []
    for path in sorted(home.root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += str(duckdb.connect().execute(f"from read_parquet('{path}')").fetchall()).encode()
        hits += [str(path.relative_to(home.root)) for one in signs if one in content]
    return hits


def test_nothing_names_a_forgotten_person_and_no_figure_changes(home: Home, tmp_path: Path) -> None:
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
    retention(home, "run", "--as-of", AS_OF.isoformat(), "--full-refresh")
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
