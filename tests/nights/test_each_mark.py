"""Each mark has its story: there is a day after which the night goes wrong where it is forgotten.

A mark is a condition in `macros/marks.sql`. The stories are the golden ones, whose figures their READMEs work out, and
those of `test_marks.py`. Where several marks make a customer due on one day (a purchase begins a span and may make a
customer a member of a cohort), they stand in for each other, so that those of the day are forgotten together; a day on
which a mark is alone is preferred.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

import duckdb
import pytest
from support.golden_stories import STORIES, copy_story

from nights.compiled_models import AS_OF, PREVIOUS_AS_OF, SHIFTS, CompiledModels, Model, compile_models
from nights.test_marks import TOLD
from nights.test_nights import differences
from nights.warehouse_in_memory import Warehouse
from retention_pipeline.ingest import ingest
from retention_pipeline.settings import Home, Settings, load_settings
from retention_pipeline.transform.delivered_segments import with_delivered_segments

MERGED = ("night_due_active_days", "night_due_session_lengths")
DAYS_OF_A_KIND, DAYS_TRIED = 8, 16
NO_LOAD = 999  # later than every load: no row comes in a night


@dataclass(frozen=True, order=True)
class Mark:
    """A condition on the rows of a fact, as it stands in the compiled model `listed_in`."""

    fact: str
    condition: str
    listed_in: str

    @property
    def text(self) -> str:
        """What stands in the compiled model."""
        if self.listed_in in MERGED:
            return f"({self.condition})"
        return f"from previous.main.{self.fact}\n    where {self.condition}\n"

    def __str__(self) -> str:
        return f"{self.fact}: {' '.join(self.condition.split())}"


def marks_of(models: list[Model]) -> Iterator[Mark]:
    by_name = {model.name: model.sql for model in models}
    due = by_name["night_due"][by_name["night_due"].index("due as (") :]
    for found in re.finditer(r"from previous\.main\.(\w+)\n    where (.*?)\n    union all", due, re.DOTALL):
        yield Mark(found[1], found[2], "night_due")
    for name in MERGED:
        if name in by_name:
            whole = re.search(r"from previous\.main\.(\w+)\s+where \((.*)\)\s*$", by_name[name], re.DOTALL)
            assert whole
            yield from (Mark(whole[1], condition, name) for condition in re.split(r"\) or\s+\(", whole[2]))


def without(models: CompiledModels, forgotten: Iterable[Mark]) -> CompiledModels:
    """The models of nights that forget some marks."""
    night = {model.name: model for model in models.night}
    for mark in forgotten:
        model = night[mark.listed_in]
        assert mark.text in model.sql, mark
        sql = model.sql.replace(mark.text, mark.text.replace(mark.condition, "false"))
        night[mark.listed_in] = replace(model, sql=sql)
    return CompiledModels(models.full, list(night.values()))


def on_any_day(condition: str) -> str:
    """The condition for the night from `days.day` to the day after."""
    for shift in SHIFTS:
        for compiled_day, days in ((PREVIOUS_AS_OF, shift.days), (AS_OF, shift.days + 1)):
            condition = condition.replace(f"cast('{compiled_day + shift}' as date)", f"(days.day + {days})")
    assert not re.search(r"'2\d{3}-", condition), condition
    return condition


class Story:
    """All rows of a story, loaded; `days`: the days before `as_of` with the marks that make a customer due on them."""

    def __init__(self, home: Home, settings: Settings, as_of: date) -> None:
        self.models = compile_models(settings, home.root / "compiled")
        self.connection = duckdb.connect()
        self.connection.execute("set TimeZone = 'UTC'")
        self.connection.execute("set threads = 1")
        self.connection.execute(f"attach '{home.raw_file}' as raw_store (read_only)")
        Warehouse(self.connection, self.models).full_refresh(as_of)
        self.marks = list(marks_of(self.models.night))
        self.days = self._days(as_of)

    def _days(self, as_of: date) -> list[tuple[date, frozenset[Mark]]]:
        self.connection.execute("create temp table hits (mark integer, customer_key bigint, day date)")
        self.connection.execute(
            "create temp table days as select cast(day as date) as day"
            f" from generate_series(date '2022-01-01', date '{as_of}' - 1, interval 1 day) as days (day)"
        )
        for number, mark in enumerate(self.marks):
            self.connection.execute(
                f"insert into hits select distinct {number}, facts.customer_key, days.day from {mark.fact} as facts,"
                f" days where {on_any_day(mark.condition)}"
            )
        found = self.connection.execute("select day, list(mark) from hits group by customer_key, day").fetchall()
        return [(day, frozenset(self.marks[number] for number in numbers)) for day, numbers in found]

    def needs(self, marks: Iterable[Mark], day: date) -> bool:
        """Whether the night after that day goes wrong without these marks, no row having come."""
        warehouse = Warehouse(self.connection, without(self.models, marks))
        warehouse.full_refresh(day)
        warehouse.night(day + timedelta(days=1), day, NO_LOAD)
        return differences(warehouse, day + timedelta(days=1)) != []


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> list[Story]:
    found = []
    for name, told in TOLD.items():
        home = told.deliver_and_load(tmp_path_factory.mktemp(name) / "home")
        found.append(Story(home, told.settings, date.fromisoformat(max(told.figures))))
    for name in STORIES:
        home = Home(tmp_path_factory.mktemp(name) / "home")
        as_of = copy_story(name, home.root)
        settings = load_settings(home)
        assert not ingest(home, settings, now=datetime.combine(as_of, time(2))).refused
        found.append(Story(home, with_delivered_segments(home, settings), as_of))
    return found


@pytest.mark.long
def test_each_mark_is_needed_on_a_day_of_a_story(stories: list[Story]) -> None:
    marks = sorted({mark for story in stories for mark in story.marks})
    assert len(marks) > 30
    missed = [str(mark) for mark in marks if not is_needed(stories, mark)]
    assert not missed, "\n".join(["marks that no story needs:", *missed])


def is_needed(stories: list[Story], mark: Mark) -> bool:
    """Whether one of the days with the mark needs it; days with few other marks are tried first, a few of each kind."""
    days: dict[tuple[int, frozenset[Mark]], set[date]] = {}
    for number, story in enumerate(stories):
        for day, marks in story.days:
            if mark in marks:
                days.setdefault((number, marks), set()).add(day)
    kinds = sorted(days, key=lambda key: (len(key[1]), key[0], min(days[key])))
    tried = [(*key, day) for key in kinds for day in sorted(days[key])[:DAYS_OF_A_KIND]]
    return any(stories[number].needs(marks, day) for number, marks, day in tried[:DAYS_TRIED])
