"""The report of a home: how large the page is, how long it takes to make, and how long until a browser shows it.

    python -m benchmarks.report HOME

Target: at 400,000 values at most 8 MB, shown within 3 seconds.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from retention_pipeline.report.page import write_report
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.warehouse import opened

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def main(folder: Path) -> None:
    """Print the measures; the last one only where there is a Chromium."""
    home = Home(folder.resolve())
    with opened(home.current, read_only=True) as connection:
        [(values,)] = connection.execute("select count(*) from retention_kpis").fetchall()
    began = time.perf_counter()
    path = write_report(home, load_settings(home))
    made = time.perf_counter() - began
    print(f"{values:,} values: {path.stat().st_size / 1e6:.1f} MB, made in {made:.1f} s")
    print(f"shown after {_shown_after(path):.1f} s" if CHROMIUM else "no Chromium on this machine: not shown")


def _shown_after(path: Path) -> float:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("#main[aria-busy='false']")
        shown = time.perf_counter() - began
        browser.close()
    return shown


if __name__ == "__main__":
    main(Path(sys.argv[1]))
