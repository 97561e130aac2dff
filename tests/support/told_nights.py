"""A home whose nights are told one by one in this process: ingest, compiled models, KPI code, history, publication.

dbt's runner, the audit and the run's records are left out; tests of whole runs have them. Every night is a full
refresh, as those of small homes are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
from nights.compiled_models import Model, compiled

from retention_pipeline.history.archive import write_missing
from retention_pipeline.history.causes import CAUSES_OF_ROWS
from retention_pipeline.history.closing import put_in
from retention_pipeline.history.publications import Publication
from retention_pipeline.history.restatement_tables import NOT_LISTED
from retention_pipeline.history.rows import ROWS_AT_MOST
from retention_pipeline.history.sentences import Restated
from retention_pipeline.history.write import Before, write_history
from retention_pipeline.ingest import ingest
from retention_pipeline.ingest.identity import raw_identity
from retention_pipeline.ingest.loads import max_load_id
from retention_pipeline.kpis import compute_kpis, validate_kpis
from retention_pipeline.kpis.registry import registry_fingerprint
from retention_pipeline.publish import generations
from retention_pipeline.publish.provenance import write_pipeline_loads
from retention_pipeline.run.state import PipelineState, read_state, write_state
from retention_pipeline.settings import Home, Settings, parse_settings
from retention_pipeline.transform import settings_fingerprint
from retention_pipeline.transform.delivered_segments import with_delivered_segments
from retention_pipeline.transform.fingerprints import moving_settings
from retention_pipeline.warehouse import attach, opened
from support.quick_build import make_tables


class ToldHome:
    """`settings`: the content of settings.yaml; `compiled_in`: where dbt's files go."""

    def __init__(self, root: Path, settings: dict[str, Any], compiled_in: Path) -> None:
        self.home = Home(root)
        self.home.root.mkdir(parents=True)
        self.compiled_in = compiled_in
        self.models: dict[str, list[Model]] = {}
        self.rows_at_most = ROWS_AT_MOST
        self.runs = 0
        self.change_settings(settings)

    def change_settings(self, settings: dict[str, Any]) -> None:
        """From the next night on."""
        self.content = settings
        self.settings = parse_settings(settings)

    def deliver(self, dataset: str, name: str, text: str) -> None:
        """A file in the landing folder of a dataset."""
        folder = self.home.root / "landing" / dataset
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    def night(
        self,
        as_of: date,
        at: datetime | None = None,
        *,
        kind: str = "night",
        code: str = "c1",
        change: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
        released: tuple[tuple[str, date], ...] = (),
    ) -> Restated:
        """One night; `at`: when it publishes (default: two in the morning of its day). `kind`: of the publication.
        `change` is done to the models' tables before figures are made of them.
        """
        moment = at or datetime(as_of.year, as_of.month, as_of.day, 2)
        home, self.runs = self.home, self.runs + 1
        run_id = f"run-{self.runs}"
        ingest(home, self.settings, now=moment)
        settings = with_delivered_segments(home, self.settings)
        before = read_state(home.current)
        generations.begin(home, full_refresh=True)
        number = generations.next_number(home)
        self._build(settings, as_of)
        with opened(home.next_file) as connection:
            if change:
                change(connection)
            put_in(connection, run_id=run_id)
            computed = compute_kpis(
                connection,
                settings,
                as_of=as_of,
                run_id=run_id,
                computed_at=moment,
                connected_datasets=settings.connected_datasets,
            )
            assert not validate_kpis(connection, settings)
            fingerprint = settings_fingerprint(settings, settings.connected_datasets)
            _, restated = write_history(
                connection,
                home,
                settings,
                Publication(
                    published_at=moment,
                    generation=number,
                    kind=kind,
                    as_of=as_of,
                    run_id=run_id,
                    settings_fingerprint=fingerprint,
                    code_fingerprint=code,
                    kpi_fingerprint=registry_fingerprint(),
                    settings=json.dumps(moving_settings(settings, settings.connected_datasets), sort_keys=True),
                ),
                Before(applied=before.applied_load_id if before else -1),
                removed=computed.removed > 0,
                released=released,
                rows_at_most=self.rows_at_most,
            )
            identity = raw_identity(home)
            state = PipelineState(
                number, max_load_id(home), as_of, fingerprint, code, registry_fingerprint(), run_id, moment,
                identity.raw_id if identity else None, identity.epoch if identity else None,
                identity.stamp if identity else None,
            )  # fmt: skip
            write_state(connection, state)
            write_pipeline_loads(connection, home)
        generations.publish(home, number, keep=99)
        write_missing(home)
        return restated

    def _build(self, settings: Settings, as_of: date) -> None:
        """The models' tables into `next.duckdb`."""
        compiled_for = settings_fingerprint(settings, settings.connected_datasets)
        if compiled_for not in self.models:
            folder = self.compiled_in / compiled_for
            self.models[compiled_for] = compiled(settings, folder, night=False)
        make_tables(self.home, self.models[compiled_for], as_of)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Of the published generation."""
        with duckdb.connect(str(self.home.current), read_only=True) as connection:
            return connection.execute(sql, parameters or None).fetchall()

    def generation(self, number: int) -> Path:
        """The file of a generation."""
        return self.home.published / f"g{number}.duckdb"


def unexplained(told: ToldHome) -> list[str]:
    """A line for each cell of a complete period in which old + Σ restatements ≠ new in two generations that follow one
    another, and for each publication of which the history says something else than its generation.
    """
    found = []
    for number in range(1, told.runs + 1):
        with duckdb.connect() as connection:
            attach(connection, told.generation(number), "now")
            attach(connection, told.generation(told.runs), "last")
            found += _other_history(connection, number)
            if number > 1:
                attach(connection, told.generation(number - 1), "before")
                found += _other_sum(connection, number, told.settings.business.renewal_grace_days)
    return found


KEY = "kpi, grain, period_start, basis, segment_dimension, segment_value"


def _other_sum(connection: duckdb.DuckDBPyConnection, number: int, grace: int) -> list[str]:
    def has_figures(generation: str) -> str:  # a period or KPI that comes or goes as a whole is not restated
        figures = f"from {generation}.retention_kpis"
        return (
            f"((grain, period_start) in (select (grain, period_start) {figures}) "
            f"and (kpi, basis, segment_dimension) in (select (kpi, basis, segment_dimension) {figures}))"
        )

    rows = connection.execute(
        f"""
        with complete as (
            select {KEY}, coalesce(old.value, 0) as old, coalesce(new.value, 0) as new,
                coalesce(old.null_reason, '') as reason_before, coalesce(new.null_reason, '') as reason,
                old.period_end is not null as was_there, new.period_end is not null as is_there,
                old.numerator is distinct from new.numerator or old.denominator is distinct from new.denominator
                    or old.n is distinct from new.n or old.value is distinct from new.value as may_differ
            from (from before.retention_kpis where is_complete) as old
            full join (from now.retention_kpis where is_complete) as new using ({KEY})
            where (old.period_end is not null or (select as_of from before.pipeline_state) >= new.period_end)
                and 'immature' not in (reason_before, reason)
                and not (kpi in ('renewals_pending', 'renewal_rate', 'renewal_rate_value')
                    and coalesce(old.period_end, new.period_end) + {grace} > (select as_of from before.pipeline_state))
                and (new.period_end is not null or {has_figures("now")})
                and (old.period_end is not null or {has_figures("before")})
        ),
        restated as (
            select {KEY}, sum(delta) as delta, count(distinct cause) as causes, count(*) as rows
            from last.restatements where generation = {number} group by all
        )
        select {KEY}, old, new, delta from complete full join restated using ({KEY})
        where old is null
            or abs(old + coalesce(delta, 0) - new) > 1e-9 * greatest(1, abs(old), abs(new))
            or (delta is not null and not may_differ)
            or causes <> rows
        order by all limit 5
        """
    ).fetchall()
    return [f"generation {number}: {row}" for row in rows]


def _other_history(connection: duckdb.DuckDBPyConnection, number: int) -> list[str]:
    known = f"(select published_at from last.publications where generation = {number})"
    said = f"{KEY}, value, numerator, denominator, n, null_reason"
    stood = f"known_from <= {known} and coalesce(known_to > {known}, true)"
    then = f"select {said} from last.retention_kpi_history where {stood}"
    there = f"select {said} from now.retention_kpis where is_complete or segment_dimension = 'all'"
    near = "replace (round(value, 9) as value, round(numerator, 9) as numerator, round(denominator, 9) as denominator)"
    rows = connection.execute(
        f"""
        with known as (select * {near} from ({then})), there as (select * {near} from ({there}))
        select 'history', * from (from known except all from there)
        union all select 'generation', * from (from there except all from known)
        order by all limit 5
        """
    ).fetchall()
    return [f"known with generation {number}: {row}" for row in rows]


def parts_that_do_not_add_up(told: ToldHome) -> list[str]:
    """A line for each restated figure and cause with rows that has none, or whose rows do not make up its part of
    numerator and denominator, and for one with two lines of what is not listed.
    """
    key = f"generation, {KEY}, cause"
    rows = told.rows(
        f"""
        with listed as (
            select {key}, sum(numerator_delta) as numerator, sum(denominator_delta) as denominator,
                count(*) filter (customer_id = '{NOT_LISTED}') as lines
            from restatement_rows group by all
        )
        select {key}, numerator_delta, numerator, denominator_delta, denominator, lines
        from (from restatements where cause in ({CAUSES_OF_ROWS})) left join listed using ({key})
        where lines is null or lines > 1
            or abs(numerator_delta - coalesce(numerator, 0)) > 1e-6 * greatest(1, abs(numerator_delta))
            or abs(denominator_delta - coalesce(denominator, 0)) > 1e-6 * greatest(1, abs(denominator_delta))
        order by all limit 5
        """
    )
    return [f"parts of {row}" for row in rows]
