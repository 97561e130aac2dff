"""What must hold in period_engagement: subsets, windows within windows, the tables that stand behind it."""

from retention_pipeline.audit.shapes import (
    CELL,
    Rule,
    rows_hold,
    starts_from_nothing,
)
from retention_pipeline.settings import Settings

COMPARED = (
    "active_days",
    "active_customers",
    "active_new",
    "active_returning",
    "wau",
    "mau",
    "yau",
    "mau_active_days",
    "index_active_days",
    "customers_end_any",
    "customers_known",
)


def engagement_rules(settings: Settings) -> list[Rule]:
    """Sums and balances of period_engagement, with engagement_lness, session lengths and the active days behind."""
    table = "period_engagement"
    window = settings.business.mau_days
    nested = (
        "active_customers <= active_days and active_new + active_returning <= active_customers"
        " and active_customers <= customers_known and yau <= customers_known"
        f" and wau <= mau and mau <= yau and mau <= mau_active_days and mau_active_days <= {window} * mau"
        f" and index_active_days <= mau_active_days and index_active_days <= {window} * customers_end_any"
    )
    rules = [
        rows_hold(
            "engagement_subsets",
            "a subset of customers or days is no larger than the set; the shorter window lies in the longer one",
            table,
            nested,
            COMPARED,
        ),
        Rule(
            "a_week_is_its_window",
            "the customers of a whole week are those of the 7 days before its close",
            f"""
            select {", ".join(CELL)}, active_customers, wau
            from {table} inner join periods using (grain, period_start)
            where grain = 'week' and is_complete and active_customers <> wau
            """,
            (table, "periods"),
        ),
        Rule(
            "active_before_return_or_are_dormant",
            "the active customers of a period return in the next one or are dormant there (all)",
            f"""
            with cells as (
                select cells.*, periods.period_end
                from {table} as cells inner join periods using (grain, period_start)
                where cells.segment_dimension = 'all'
            )
            select later.grain, later.period_start, later.active_returning, later.active_dormant,
                before.active_customers as active_before
            from cells as later
            inner join cells as before on later.grain = before.grain and later.period_start = before.period_end
            where later.active_returning + later.active_dormant <> before.active_customers
            """,
            (table, "periods"),
        ),
        Rule(
            "lness_adds_up",
            "engagement_lness adds up to the customers and active days of the window",
            f"""
            with sums as (
                select grain, period_start, segment_dimension, segment_value,
                    sum(customers) as mau, sum(customers * active_days) as mau_active_days
                from engagement_lness group by all
            )
            select grain, period_start, segment_dimension, segment_value, sums.mau, cells.mau as mau_of_cells,
                sums.mau_active_days, cells.mau_active_days as active_days_of_cells
            from sums
            full join (select * from {table} where mau > 0 and {_is_whole(settings)}) as cells
                using (grain, period_start, segment_dimension, segment_value)
            where sums.mau is distinct from cells.mau or sums.mau_active_days is distinct from cells.mau_active_days
            """,
            (table, "engagement_lness", "periods"),
        ),
        Rule(
            "session_events_are_their_lengths",
            "session_events are the events of period_session_lengths",
            f"""
            select {", ".join(CELL)}, sum(events) as session_events, sum(lengths) as of_lengths
            from (
                select {", ".join(CELL)}, session_events as events, 0 as lengths from {table}
                union all
                select {", ".join(CELL)}, 0, events from period_session_lengths
            )
            group by all having sum(events) <> sum(lengths)
            """,
            (table, "period_session_lengths"),
        ),
        *starts_from_nothing(settings, table, "customers_known - active_new"),
    ]
    if settings.history_start is None:
        rules.append(
            Rule(
                "active_days_are_those_of_facts",
                "active_days of all months are the rows of int_active_days before as_of",
                f"""
                with sums as (
                    select sum(active_days) as days from {table} where grain = 'month' and segment_dimension = 'all'
                ),
                facts as (
                    select count(*) as days
                    from int_active_days where active_date < (select max(close_date) from periods)
                )
                select sums.days, facts.days as days_of_facts from sums cross join facts
                where coalesce(sums.days, 0) <> facts.days
                """,
                (table, "int_active_days", "periods"),
            )
        )
    return rules


def _is_whole(settings: Settings) -> str:
    """SQL: the window before the close does not reach behind data_start, where the table has no rows."""
    if settings.business.data_start is None:
        return "true"
    close = "select close_date from periods where periods.grain = {0}.grain and periods.period_start = {0}.period_start"
    return (
        f"({close.format('period_engagement')}) - {settings.business.mau_days} >= date '{settings.business.data_start}'"
    )
