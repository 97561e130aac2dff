"""What the history keeps: each published value of complete periods, once, from when to when."""

from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
from support.made_publications import MadeHome, figure

from retention_pipeline.history.check import history_violations
from retention_pipeline.history.known import NotKnownThen, figures_at, go_back, moment_of
from retention_pipeline.history.publications import publications
from retention_pipeline.history.reported import differs
from retention_pipeline.run.operations import restore
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened

MARCH = date(2026, 3, 1)


def at(day: int, hour: int = 2) -> datetime:
    """A moment in March."""
    return datetime(2026, 3, day, hour)


@pytest.fixture
def made(tmp_path: Path) -> MadeHome:
    return MadeHome(tmp_path / "home")


def known(home: Home, moment: datetime) -> dict[tuple[int, str], float]:
    """The figures as they stood, by month and segment value."""
    with opened(home.current, read_only=True) as connection:
        go_back(connection, home, moment)
        rows = connection.execute("select month(period_start), segment_value, value from retention_kpis").fetchall()
    return {(month, segment): value for month, segment, value in rows}


def test_a_changed_figure_ends_where_the_new_one_begins(made: MadeHome) -> None:
    made.publish([figure(1, 5), figure(2, 7)], as_of=MARCH, at=at(1))
    made.publish([figure(1, 5), figure(2, 8)], as_of=MARCH, at=at(2))
    assert made.history() == [(1, "all", 5, 1, None), (2, "all", 7, 1, 2), (2, "all", 8, 2, None)]
    assert made.rows("select known_to from retention_kpi_history where value = 7") == [(at(2),)]


def test_without_a_change_nothing_is_added(made: MadeHome) -> None:
    made.publish([figure(1, 5)], as_of=MARCH, at=at(1))
    made.publish([figure(1, 5)], as_of=MARCH, at=at(2))
    made.publish([figure(1, 5 * (1 + 1e-14))], as_of=MARCH, at=at(3))
    assert made.history() == [(1, "all", 5, 1, None)]
    assert made.rows("select count(*) from publications") == [(3,)]


def test_of_open_periods_only_everybody_is_kept_and_of_complete_ones_all(made: MadeHome) -> None:
    open_march = [figure(3, 1), figure(3, 1, "country=NL")]
    made.publish(open_march, as_of=date(2026, 3, 20), at=at(20))
    assert made.history() == [(3, "all", 1, 20, None)]
    made.publish(open_march, as_of=date(2026, 4, 1), at=at(31))
    assert made.history() == [(3, "NL", 1, 31, None), (3, "all", 1, 20, None)]


def test_a_figure_that_is_no_longer_published_ends(made: MadeHome) -> None:
    made.publish([figure(1, 5), figure(1, 2, "country=NL")], as_of=MARCH, at=at(1))
    made.publish([figure(1, 5)], as_of=MARCH, at=at(2))
    assert made.history() == [(1, "NL", 2, 1, 2), (1, "all", 5, 1, None)]
    made.publish([figure(1, 5), figure(1, 3, "country=NL")], as_of=MARCH, at=at(3))
    assert made.history()[1] == (1, "NL", 3, 3, None)


def test_an_earlier_day_ends_segments_of_months_that_are_open_again(made: MadeHome) -> None:
    figures = [figure(2, 5), figure(2, 2, "country=NL")]
    made.publish(figures, as_of=MARCH, at=at(1))
    made.publish(figures, as_of=date(2026, 2, 20), at=at(2))
    assert made.history() == [(2, "NL", 2, 1, 2), (2, "all", 5, 1, None)]


def test_a_full_refresh_carries_the_history_on(made: MadeHome) -> None:
    made.publish([figure(1, 5)], as_of=MARCH, at=at(1))
    made.publish([figure(1, 6)], as_of=MARCH, at=at(2), full_refresh=True)
    assert made.history() == [(1, "all", 5, 1, 2), (1, "all", 6, 2, None)]


def test_figures_are_asked_for_as_they_stood(made: MadeHome) -> None:
    made.publish([figure(1, 5), figure(2, 7)], as_of=MARCH, at=at(1))
    made.publish([figure(1, 6), figure(2, 7)], as_of=MARCH, at=at(2))
    assert known(made.home, at(1, 12)) == {(1, "all"): 5, (2, "all"): 7}
    assert known(made.home, at(2, 12)) == {(1, "all"): 6, (2, "all"): 7}
    with pytest.raises(NotKnownThen, match=r"Nothing had been published yet.*first publication was at 2026-03-01"):
        known(made.home, at(1, 1))


def test_of_a_day_its_end_in_the_business_time_zone_is_meant() -> None:
    assert moment_of("2026-03-05", "Europe/Amsterdam") == datetime(2026, 3, 5, 22, 59, 59, 999999)
    assert moment_of("2026-07-05T12:00", "Europe/Amsterdam") == datetime(2026, 7, 5, 10)
    assert moment_of("2026-03-05T12:00Z", "Europe/Amsterdam") == datetime(2026, 3, 5, 12)
    with pytest.raises(NotKnownThen, match="'2026-13-05' is not a moment"):
        moment_of("2026-13-05", "Europe/Amsterdam")


def test_each_publication_has_its_file_and_a_missing_one_is_written_by_the_next(made: MadeHome) -> None:
    made.publish([figure(1, 5)], as_of=MARCH, at=at(1), archived=False)
    assert not (made.home.archive / "history").exists()
    made.publish([figure(1, 6)], as_of=MARCH, at=at(2))
    names = sorted(path.name for path in (made.home.archive / "history").iterdir())
    assert names == ["20260301T020000.000000-g1.parquet", "20260302T020000.000000-g2.parquet"]


def test_a_home_without_generations_gets_its_history_from_the_files(made: MadeHome) -> None:
    made.publish([figure(1, 5), figure(1, 2, "country=NL")], as_of=MARCH, at=at(1))
    made.publish([figure(1, 6)], as_of=MARCH, at=at(2))
    before = made.history()
    for path in made.home.published.iterdir():
        path.unlink()
    made.publish([figure(1, 6)], as_of=MARCH, at=at(3))
    assert made.history() == before
    made.publish([figure(1, 7)], as_of=MARCH, at=at(4))
    assert made.history()[-2:] == [(1, "all", 6, 2, 4), (1, "all", 7, 4, None)]


def test_a_file_that_cannot_be_read_is_told_and_left_out(made: MadeHome) -> None:
    from retention_pipeline.history.archive import take_up

    made.publish([figure(1, 5)], as_of=MARCH, at=at(1))
    (made.home.archive / "history" / "20260302T020000.000000-g2.parquet").write_text("nothing of the kind")
    told: list[str] = []
    with duckdb.connect() as connection:
        assert take_up(connection, made.home, say=told.append) == 1
    assert len(told) == 1 and "cannot be read and is left out of the history" in told[0]


def test_a_restored_generation_is_known_again_and_what_was_published_meanwhile_stays_known(made: MadeHome) -> None:
    made.publish([figure(1, 5), figure(2, 9)], as_of=MARCH, at=at(1))
    made.publish([figure(1, 6), figure(2, 9), figure(2, 4, "country=NL")], as_of=MARCH, at=at(2))
    restore(made.home, now=at(3))
    first, second = {(1, "all"): 5, (2, "all"): 9}, {(1, "all"): 6, (2, "all"): 9, (2, "NL"): 4}
    assert [known(made.home, at(day, 12)) for day in (1, 2, 3)] == [first, second, first]
    made.publish([figure(1, 7), figure(2, 9)], as_of=MARCH, at=at(4))
    assert [known(made.home, at(day, 12)) for day in (1, 2, 3)] == [first, second, first]
    assert known(made.home, at(4, 12)) == {(1, "all"): 7, (2, "all"): 9}
    assert made.history() == [
        (1, "all", 5, 1, 2),
        (1, "all", 5, 3, 4),
        (1, "all", 6, 2, 3),
        (1, "all", 7, 4, None),
        (2, "NL", 4, 2, 3),
        (2, "all", 9, 1, None),
    ]


def test_a_clock_that_was_put_back_does_not_put_the_history_out_of_order(made: MadeHome) -> None:
    made.publish([figure(1, 5)], as_of=MARCH, at=at(2))
    made.publish([figure(1, 6)], as_of=MARCH, at=at(1))
    with opened(made.home.current, read_only=True) as connection:
        first, second = (one.published_at for one in publications(connection))
        assert first == at(2) < second
        assert history_violations(connection) == []
        assert connection.execute(f"select value from ({figures_at(publications(connection)[0])})").fetchall() == [(5,)]


def test_a_check_finds_a_history_that_says_something_else(made: MadeHome) -> None:
    made.publish([figure(1, 5)], as_of=MARCH, at=at(1))
    with duckdb.connect() as connection:
        connection.execute(f"attach '{made.home.current.resolve()}' as published (read_only)")
        connection.execute("attach ':memory:' as copied")
        connection.execute("copy from database published to copied")
        connection.execute("use copied")
        assert history_violations(connection) == []
        connection.execute("update retention_kpi_history set value = 4")
        (violation,) = history_violations(connection)
    assert violation.cells == 1 and violation.examples[0]["in_history"] == 4


def test_figures_are_equal_to_a_trillionth() -> None:
    with duckdb.connect() as connection:

        def differ(old: str, new: str) -> bool:
            rows = "(select {} as value, 1.0::double as numerator, null::double as denominator, 3 as n) as {}"
            sql = f"select {differs('a.', 'b.')} from {rows.format(old, 'a')}, {rows.format(new, 'b')}"
            return bool(connection.execute(sql).fetchall()[0][0])

        assert not differ("0.1e0 + 0.2e0", "0.3e0")
        assert differ("1e0", "1e0 + 1e-11")
        assert differ("null::double", "0e0") and not differ("null::double", "null::double")


class Killed(Exception):
    """What stands for the end of a run."""


@pytest.mark.parametrize(
    "last_step", ["record", "publish", "write_missing", "replace"], ids=["history", "publish", "archive", "rename"]
)
def test_a_run_that_ends_before_a_step_leaves_no_publication_without_history_and_none_twice(
    made: MadeHome, monkeypatch: pytest.MonkeyPatch, last_step: str
) -> None:
    import os

    from support import made_publications

    from retention_pipeline.publish import generations

    def end(*_: object, **__: object) -> None:
        raise Killed

    places = {"record": made_publications, "publish": generations, "write_missing": made_publications, "replace": os}
    made.publish([figure(1, 5)], as_of=MARCH, at=at(1))
    with monkeypatch.context() as patched:
        if last_step == "replace":
            # The rename of the generation is not the archive's: only a file of the history ends the run.
            real = os.replace
            patched.setattr(os, "replace", lambda old, new: end() if "history" in str(new) else real(old, new))
        else:
            patched.setattr(places[last_step], last_step, end)
        with pytest.raises(Killed):
            made.publish([figure(1, 6)], as_of=MARCH, at=at(2))
    is_out = last_step in ("write_missing", "replace")
    current = [row[0] for row in made.rows("select value from retention_kpis")]
    assert current == [6 if is_out else 5]
    assert [row[2] for row in made.history() if row[4] is None] == current
    made.publish([figure(1, 6)], as_of=MARCH, at=at(3))
    began = 2 if is_out else 3
    assert made.history() == [(1, "all", 5, 1, began), (1, "all", 6, began, None)]
    published = made.rows("select count(*) from publications")[0][0]
    files = list((made.home.archive / "history").glob("*.parquet"))
    assert len(files) == published == (3 if is_out else 2)
    with duckdb.connect() as connection:
        events = connection.execute(
            f"select count(*) from read_parquet({[str(path) for path in files]}, union_by_name = true) "
            "where record is null group by published_at"
        ).fetchall()
    assert events == [(1,), (1,)]
