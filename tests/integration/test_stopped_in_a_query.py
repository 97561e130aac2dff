"""The real command, stopped while DuckDB is at work: the signal's exception is lost in it, the signal must not be."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

SETTINGS = """\
business: {timezone: UTC, reporting_currency: EUR}
sources: {orders: {type: files, path: landing/orders/*.csv, timezone: UTC}}
"""
ROWS = 1_500_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a file that takes some seconds to load."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    file = tmp_path / "landing" / "orders" / "a.csv"
    file.parent.mkdir(parents=True)
    duckdb.sql(
        f"""copy (
            select 'o' || n as order_id, 'c' || n % 50000 as customer_id, '2024-01-01 12:00:00' as ordered_at,
                '10.00' as amount, 'EUR' as currency, 'paid' as status
            from range({ROWS}) as numbers (n)
        ) to '{file}' (header)"""
    )
    return tmp_path


def test_a_signal_while_a_file_is_loaded_ends_the_run_in_one_line_and_refuses_nothing(home: Path) -> None:
    command = [sys.executable, "-m", "retention_pipeline.cli", "run", "--home", str(home), "--as-of", "2024-02-01"]
    run = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(600):
            if (home / "warehouse" / "raw.duckdb").exists():
                break
            time.sleep(0.1)
        time.sleep(1)
        run.send_signal(signal.SIGTERM)
        answer, told = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, told
    assert "Traceback" not in told
    assert "Query interrupted" not in answer + told
    [record] = [json.loads(path.read_text()) for path in (home / "runs").glob("*.json")]
    assert (record["status"], record["failed_step"]) == ("failed", "ingest orders")
    assert record["error"].startswith("Stopped by Ctrl-C or a signal")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home / 'warehouse' / 'raw.duckdb'}' as raw_store (read_only)")
        assert connection.execute("select count(*) from raw_store.raw.ledger").fetchone() == (0,)
