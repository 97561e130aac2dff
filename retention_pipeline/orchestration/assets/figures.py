"""retention_kpis, published_snapshot and report: figures are computed, reconciled, and published or thrown away."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from retention_pipeline.alerts import load as incidents_of
from retention_pipeline.audit import AuditError
from retention_pipeline.errors import raise_interruption, told
from retention_pipeline.history.sentences import Restated
from retention_pipeline.orchestration.assets.previews import markdown_table
from retention_pipeline.orchestration.pruning import prune_history
from retention_pipeline.orchestration.run_context import POOL, RunContext, failure
from retention_pipeline.read.headline import as_markdown, goal_lines, read_headline
from retention_pipeline.run import after, steps
from retention_pipeline.settings.alerts import Alerts
from retention_pipeline.warehouse import opened

FIGURES = dg.AssetKey("retention_kpis")
SNAPSHOT = dg.AssetKey("published_snapshot")
REPORT = dg.AssetKey("report")
ALERTS = dg.AssetKey("alerts")
RECONCILED = "reconciliations_hold"
STANDS = "reported_figures_stand"
PUBLISHED_HEADLINE = "headline"


if TYPE_CHECKING:
    Result = dg.MaterializeResult[Any]
else:  # Dagster looks for the bare class where an asset returns checks, too
    Result = dg.MaterializeResult


def figure_assets(
    marts: list[dg.AssetKey],
    last_models: list[dg.AssetKey],
    period_tables: list[dg.AssetKey],
    months: dg.PartitionsDefinition,
) -> list[dg.AssetsDefinition]:
    """The two assets after dbt. `marts`: what KPIs are computed from; `last_models`: those that no other model reads;
    `period_tables`: those with partitions.
    """
    return [_figures_asset(marts, period_tables, months), _snapshot_asset(last_models)]


def _figures_asset(
    marts: list[dg.AssetKey], period_tables: list[dg.AssetKey], months: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="compute_kpis",
        specs=[
            dg.AssetSpec(
                FIGURES,
                deps=marts,
                partitions_def=months,
                description="One row per kpi, grain, period, basis and segment: value, numerator, denominator, n. "
                "A month is materialised when the figures of the periods that overlap it were brought up to date.",
                group_name="figures",
                kinds={"python", "duckdb"},
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                RECONCILED,
                asset=FIGURES,
                description="Bridges close, segments add up, rates are in range, rows equal the period tables' cells.",
                blocking=True,
            ),
            dg.AssetCheckSpec(
                STANDS,
                asset=FIGURES,
                description="No figure of a complete period differs from what was published; warns, blocks nothing.",
            ),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
        op_tags={"stage": "kpis"},
    )
    def compute_kpis(context: dg.AssetExecutionContext, night: dg.ResourceParam[RunContext]) -> Iterator[Any]:
        report = night.reporter(context)
        violated: AuditError | None = None
        with night.step(context) as run:
            figures = steps.figures_step(night.home, night.settings, run, progress=report.say, assembly=night.assembly)
            try:
                audited = steps.audit_step(
                    night.home, night.settings, run, progress=report.say, assembly=night.assembly
                )
            except AuditError as error:
                violated = error
        if violated is not None:
            night.tell(violated)
            yield dg.AssetCheckResult(
                check_name=RECONCILED, asset_key=FIGURES, passed=False, metadata={"violations": str(violated)}
            )
            raise failure(violated)
        with night.step(context) as run:
            restated = steps.history_step(night.home, night.settings, run, progress=report.say)
        yield dg.AssetCheckResult(
            check_name=STANDS,
            asset_key=FIGURES,
            passed=restated.figures == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=_restated_metadata(restated),
        )
        yield dg.AssetCheckResult(
            check_name=RECONCILED, asset_key=FIGURES, passed=True, metadata={"rules": len(audited.rules)}
        )
        changed = [*figures.changed_months, *([] if night.is_backfill else [night.as_of.replace(day=1)])]
        for month in further_months(changed, night.months, months):
            for key in (FIGURES, *period_tables):
                context.log_event(dg.AssetMaterialization(key, partition=month, metadata={"as_of": str(night.as_of)}))
        with opened(night.home.next_file, read_only=True) as connection:
            headline = read_headline(connection, as_of=night.as_of)
            counted = connection.execute("select count(*) from retention_kpis").fetchone()
        yield dg.MaterializeResult(
            asset_key=FIGURES,
            metadata={
                "dagster/row_count": int(counted[0]) if counted else 0,
                "rows_changed": figures.changed,
                **_restated_metadata(restated),
                "as_of": str(night.as_of),
                **({PUBLISHED_HEADLINE: dg.MetadataValue.md(as_markdown(headline))} if headline else {}),
            },
        )

    return compute_kpis


def _restated_metadata(restated: Restated) -> dict[str, Any]:
    """How many figures of complete periods changed, by cause, and the lines about them: an entry each, as Dagster
    shows a text without its line breaks.
    """
    counts = [[cause, number] for cause, number in restated.by_cause.items()]
    return {
        "restated": restated.figures,
        **({"restated_by_cause": dg.MetadataValue.md(markdown_table(["cause", "figures"], counts))} if counts else {}),
        **restated.said,
    }


def _snapshot_asset(models: list[dg.AssetKey]) -> dg.AssetsDefinition:
    @dg.asset(
        key=SNAPSHOT,
        deps=[FIGURES, *models],
        description="The warehouse that people read, published/current.duckdb, with Parquet copies of its figures.",
        group_name="publish",
        kinds={"duckdb", "parquet"},
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
        op_tags={"stage": "publish"},
    )
    def published_snapshot(context: dg.AssetExecutionContext, night: dg.ResourceParam[RunContext]) -> Result:
        report = night.reporter(context)
        with night.step(context) as run:
            published = steps.publish_step(night.home, night.settings, run, progress=report.say)
            files, problems = after.export_step(night.home, night.settings, run, progress=report.say)
        with opened(night.home.current.resolve(), read_only=True) as connection:
            headline = read_headline(connection, as_of=night.as_of)
            goals = goal_lines(connection)
        return dg.MaterializeResult(
            metadata={
                "generation": published.generation,
                "as_of": str(night.as_of),
                "path": dg.MetadataValue.path(str(night.home.current)),
                "megabytes": round(published.path.stat().st_size / 1e6, 1),
                "dagster/row_count": published.row_counts.get("retention_kpis", 0),
                "tables": dg.MetadataValue.md(markdown_table(["table", "rows"], sorted(published.row_counts.items()))),
                "exported": len(files),
                **({"not exported": "\n".join(problems)} if problems else {}),
                **({"goals": dg.MetadataValue.md(markdown_table(["goal", "value", "status"], goals))} if goals else {}),
                **({PUBLISHED_HEADLINE: dg.MetadataValue.md(as_markdown(headline))} if headline else {}),
            }
        )

    return published_snapshot


def report_asset() -> dg.AssetsDefinition:
    """The page that people look at. A run publishes without it; its failure is told, and does not fail the run."""

    @dg.asset(
        key=REPORT,
        deps=[SNAPSHOT],
        description="report/index.html: one page with the published figures, opened from disk.",
        group_name="publish",
        kinds={"python"},
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
        op_tags={"stage": "publish"},
    )
    def report(context: dg.AssetExecutionContext, night: dg.ResourceParam[RunContext]) -> Result:
        with night.step(context) as run:
            path = after.report_step(night.home, night.settings, run, progress=night.reporter(context).say)
        try:
            prune_history(context.instance, night.home, night.settings.keep.dagster_history)
        except Exception as error:  # whatever it is: no figure depends on it, and the next run tries again
            raise_interruption(error)
            night.reporter(context).say(f"Dagster's history was not pruned: {told(error)}")
        return dg.MaterializeResult(
            metadata={"as_of": str(night.as_of)}
            | (
                {"path": dg.MetadataValue.path(str(path)), "megabytes": round(path.stat().st_size / 1e6, 1)}
                if path
                else {}
            )
        )

    return report


def alerts_asset(asked: Alerts) -> list[dg.AssetsDefinition]:
    """What follows from a publication: messages, exports, posts. No asset where nothing is asked for."""
    if not asked.channels and not asked.rules:
        return []

    @dg.asset(
        key=ALERTS,
        deps=[REPORT],
        description="Who is told of what was published, once per incident; the table alerts has all of them.",
        group_name="publish",
        kinds={"python"},
        check_specs=[
            dg.AssetCheckSpec(rule.slug, asset=ALERTS, description=f"Nothing to tell: {rule.name}.")
            for rule in asked.rules
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
        op_tags={"stage": "publish"},
    )
    def alerts(context: dg.AssetExecutionContext, night: dg.ResourceParam[RunContext]) -> Result:
        with night.step(context) as run:
            problems = after.alerts_step(night.home, night.settings, run, progress=night.reporter(context).say)
        seen = [one.finding for one in incidents_of(night.home) if one.seen_at == run.started_at]
        told = [[one.rule, one.message] for one in seen]
        messages = {rule.name: [one.message for one in seen if one.rule == rule.name] for rule in asked.rules}
        return dg.MaterializeResult(
            metadata={
                "as_of": str(night.as_of),
                "alerts": dg.MetadataValue.md(markdown_table(["rule", "alert"], told)),
                **({"not done": "\n".join(problems)} if problems else {}),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=rule.slug,
                    asset_key=ALERTS,
                    passed=not messages[rule.name],
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"alerts": "\n".join(messages[rule.name])} if messages[rule.name] else {},
                )
                for rule in asked.rules
            ],
        )

    return [alerts]


def further_months(changed: list[date], asked: list[str], months: dg.PartitionsDefinition) -> list[str]:
    """Keys of the months in which a figure changed and that Dagster does not log by itself, oldest first.

    `asked`: first and last month of the run's partitions; months before the first partition have no key.
    """
    known = set(months.get_partition_keys())
    keys = sorted({f"{month:%Y-%m}" for month in changed} & known)
    return [key for key in keys if not (asked and asked[0] <= key <= asked[-1])]
