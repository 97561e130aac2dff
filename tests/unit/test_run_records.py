"""Records of runs: what is kept of them."""

from datetime import date, datetime, timedelta
from pathlib import Path

from retention_pipeline.run.records import Run, all_records, prune, start_run
from retention_pipeline.settings import Home


def test_the_oldest_records_go_with_their_logs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert prune(home, 3) == 0
    for night in range(5):
        started = datetime(2024, 5, 1) + timedelta(days=night)
        run = start_run(home, Run(f"{started:%Y%m%dT%H%M%S}-abc", date(2024, 5, 1 + night), started))
        run.folder(home).mkdir(parents=True, exist_ok=True)
        (run.folder(home) / "dbt.log").write_text("log")
    assert prune(home, 3) == 2
    assert [record["as_of"] for record in all_records(home)] == ["2024-05-03", "2024-05-04", "2024-05-05"]
    assert len(list(home.runs.iterdir())) == 6
    assert prune(home, 3) == 0
