from retention_pipeline.ingest.result import Drift, IngestResult, LoadResult
from retention_pipeline.orchestration.assets.raw import what_came


def load(status: str, **counts: object) -> LoadResult:
    return LoadResult("orders", "orders", "a.csv", status, **counts)  # type: ignore[arg-type]


def test_what_came_is_summed_over_the_files_of_a_night() -> None:
    result = IngestResult([load("loaded", new=1200, bad=3), load("loaded", new=1, changed=5), load("already_loaded")])
    assert what_came("orders", result) == ["orders: 2 files, 1,201 new rows, 5 changed, 3 refused (quarantine)"]


def test_a_pull_is_no_file() -> None:
    pull = load("loaded", new=2, is_pull=True)
    assert what_came("orders", IngestResult([pull])) == ["orders: 1 pull, 2 new rows"]
    assert what_came("orders", IngestResult([pull, load("loaded")]))[0].startswith("orders: 1 file and 1 pull, ")


def test_one_row_is_one_row() -> None:
    assert what_came("orders", IngestResult([load("loaded", new=1)])) == ["orders: 1 file, 1 new row"]


def test_a_file_that_was_refused_is_named_with_its_reason() -> None:
    result = IngestResult([load("refused", error="column amount is missing")])
    assert what_came("orders", result) == ["orders: 1 file not loaded"]


def test_a_night_without_files_says_nothing() -> None:
    assert what_came("orders", IngestResult([load("already_loaded")])) == []


def test_columns_that_came_and_went_are_named() -> None:
    result = IngestResult([load("loaded", new=1, drift=Drift(("note",), ("channel",)))])
    assert what_came("orders", result)[1:] == [
        "orders: columns new, kept in _extra: note",
        "orders: columns missing: channel",
    ]


def test_a_path_at_which_there_is_nothing_is_named() -> None:
    result = IngestResult(without_files=["landing/ordres/*.csv"])
    assert what_came("orders", result) == ["orders: no file at landing/ordres/*.csv"]
