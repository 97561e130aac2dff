"""Many nights of a small home: what it weighs and how long a night takes, so that neither grows with the years.

    python -m benchmarks.many_nights --nights 200 --keep 30

One order comes each night. `keep` runs are kept in runs/ and in Dagster's storage, so that after as many nights nothing
should grow but the archive and the figures' own history. The archive of deliveries is left out of the sum.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

FIRST_NIGHT = date(2024, 3, 1)
SETTINGS = """\
business: {{timezone: UTC, reporting_currency: EUR}}
sources: {{orders: {{type: files, path: landing/orders/*.csv, timezone: UTC}}}}
keep: {{runs: {keep}, dagster_history: {keep}}}
"""
FOLDERS = ("warehouse", "published", "runs", "dagster", "report", "alerts")


def weight(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def cpu_seconds() -> float:
    """CPU time of the processes that have ended: wall time would measure whatever else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def night(home: Path, number: int) -> dict[str, float]:
    """One order comes and a night is run; CPU seconds, and bytes by folder."""
    day = FIRST_NIGHT + timedelta(days=number)
    landing = home / "landing" / "orders"
    landing.mkdir(parents=True, exist_ok=True)
    (landing / f"{day}.csv").write_text(
        "order_id,customer_id,ordered_at,amount,currency,status\n"
        f"o{number},c{number % 50},{day - timedelta(days=1)} 12:00:00,10.00,EUR,paid\n"
    )
    before = cpu_seconds()
    command = [sys.executable, "-m", "retention_pipeline.cli", "run", "--home", str(home), "--as-of", str(day)]
    subprocess.run(command, check=True, capture_output=True)
    return {"night": number + 1, "cpu_seconds": round(cpu_seconds() - before, 1)} | {
        folder: weight(home / folder) for folder in FOLDERS
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--nights", type=int, default=200)
    asked.add_argument("--keep", type=int, default=30)
    asked.add_argument("--home", type=Path)
    given = asked.parse_args()
    home = given.home or Path(tempfile.mkdtemp(prefix="many-nights-"))
    (home / "settings.yaml").write_text(SETTINGS.format(keep=given.keep))
    rows = []
    for number in range(given.nights):
        rows.append(night(home, number))
        print(json.dumps(rows[-1]), flush=True)
    settled = min(given.nights, max(given.keep, given.nights * 3 // 10)) - 1
    size = [sum(row[folder] for folder in FOLDERS) for row in rows]
    a_tenth = max(1, given.nights // 10)
    early = statistics.median(row["cpu_seconds"] for row in rows[settled : settled + a_tenth])
    late = statistics.median(row["cpu_seconds"] for row in rows[-a_tenth:])
    print(
        f"size after night {given.nights}: {size[-1] / 1e6:.1f} MB, {size[-1] / size[settled]:.2f} x that after night"
        f" {settled + 1}; a night takes {late:.1f} CPU s, {late / early:.2f} x"
    )


if __name__ == "__main__":
    main()
