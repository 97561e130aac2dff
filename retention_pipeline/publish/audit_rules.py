"""The reconciliations that every run must pass before it is published, over all periods.

What a single row of retention_kpis may contain is the contract of the KPI code (kpis), rules inside one model are dbt's data
tests. A rule here compares rows or tables with each other; one that cannot be said with audit_shapes is written out below.
"""

from collections.abc import Sequence

from retention_pipeline.kpis.declaration import Family
from retention_pipeline.kpis.registry import connected_families, family_kpis
from retention_pipeline.publish.audit_shapes import (
    CELL,
    Rule,
    close_is_next_opening,
    grains_nest,
    key_is_unique,
    moves_cancel,
    never_negative,
    no_period_is_missing,
    rows_hold,
    values_add_up,
)
from retention_pipeline.settings import Settings
from retention_pipeline.warehouse import sql_text

CUSTOMERS = (
    "customers_start",
    "customers_end",
    "customers_retained",
    "customers_new",
    "customers_reactivated",
    "customers_lost",
    "customers_transient",
    "customers_active",
    "customers_joined",
    "churn_events",
)
REPURCHASED = ("repurchased_30d", "repurchased_60d", "repurchased_90d", "repurchased_180d", "repurchased_365d")
ORDER_FLOWS = (
    "orders",
    "order_revenue",
    "new_customer_orders",
    "new_customer_revenue",
    "first_time_buyers",
    *REPURCHASED,
    "purchase_gaps",
    "purchase_gap_days",
    "refunds_by_refund_date",
)
ORDER_BALANCES = (
    "ordering_customers",
    "repeat_customers",
    "returning_customers",
    "buyers_to_date",
    "repeat_buyers_to_date",
    "revenue_to_date",
    "ordering_customers_365d",
    "order_revenue_365d",
)
MRR_MOVEMENTS = ("mrr_new", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_reactivation")
MRR_COUNTS = ("renewals_due", "cancellations_requested")
MRR_OTHERS = (
    "mrr_start",
    "mrr_end",
    "mrr_list_end",
    "customers_open",
    "paying_customers_end",
    "mrr_open",
    "mrr_kept",
    "mrr_kept_and_grown",
    "mrr_cancelled",
    "customers_with_losses",
    "customers_open_12m",
    "mrr_open_12m",
    "mrr_kept_12m",
    "mrr_kept_and_grown_12m",
    "customers_lost",
    "lost_involuntary",
    "lost_voluntary",
    "lost_unknown",
    "renewals_pending",
    "renewals_renewed",
    "renewals_not_renewed",
    "renewal_mrr_due",
    "renewal_mrr_renewed",
)
# period_mrr also has rows per native currency, with the balances alone.
MRR = "(select * from period_mrr where currency = 'all')"


def all_rules(settings: Settings) -> list[Rule]:
    """Every rule for these settings; those whose tables do not exist are left out by the audit."""
    return [
        *customer_rules(settings),
        *order_rules(settings),
        *mrr_rules(settings),
        *cohort_rules(settings),
        *kpi_rules(connected_families(settings.connected_datasets)),
        NO_VIEW_READS_ELSEWHERE,
    ]


def customer_rules(settings: Settings) -> list[Rule]:
    """The customer bridge of period_customers."""
    table = "period_customers"
    bridge = ("customers_start", "customers_new", "customers_reactivated", "customers_lost", "customers_end")
    return [
        key_is_unique(table, CELL),
        rows_hold(
            "customers_bridge",
            "customers_start + new + reactivated - lost = customers_end",
            table,
            "customers_start + customers_new + customers_reactivated - customers_lost = customers_end",
            bridge,
        ),
        rows_hold(
            "customers_retained_or_lost",
            "customers_retained + customers_lost = customers_start",
            table,
            "customers_retained + customers_lost = customers_start",
            ("customers_retained", "customers_lost", "customers_start"),
        ),
        rows_hold(
            "customers_active_parts",
            "customers_active = customers_start + new + reactivated + transient",
            table,
            "customers_active = customers_start + customers_new + customers_reactivated + customers_transient",
            ("customers_active", "customers_start", "customers_new", "customers_reactivated", "customers_transient"),
        ),
        rows_hold(
            "customers_joined_are_new_or_transient",
            "customers_new <= customers_joined <= customers_new + customers_transient",
            table,
            "customers_joined between customers_new and customers_new + customers_transient",
            ("customers_joined", "customers_new", "customers_transient"),
        ),
        rows_hold(
            "customers_lost_ended_a_span",
            "churn_events >= customers_lost + customers_transient",
            table,
            "churn_events >= customers_lost + customers_transient",
            ("churn_events", "customers_lost", "customers_transient"),
        ),
        never_negative(table, (*CUSTOMERS, "customers_moved_in", "customers_moved_out")),
        values_add_up(table, CUSTOMERS),
        moves_cancel(table, "customers_moved_in", "customers_moved_out"),
        close_is_next_opening(
            "customers_close_is_next_opening",
            table,
            "customers_start",
            "customers_end",
            moved="customers_moved_in - customers_moved_out",
        ),
        no_period_is_missing(table),
        grains_nest(table, ("customers_joined", "churn_events")),
        *starts_from_nothing(settings, table, "customers_start"),
        Rule(
            "lost_by_reason_adds_up",
            "lost_by_reason adds up to customers_lost of basis subscription",
            """
            select grain, period_start, segment_dimension, segment_value, sum(lost) as customers_lost, sum(by_reason) as by_reason
            from (
                select grain, period_start, segment_dimension, segment_value, customers_lost as lost, 0 as by_reason
                from period_customers where basis = 'subscription'
                union all
                select grain, period_start, segment_dimension, segment_value, 0, customers_lost from lost_by_reason
            )
            group by all having sum(lost) <> sum(by_reason)
            """,
            (table, "lost_by_reason"),
        ),
    ]


def order_rules(settings: Settings) -> list[Rule]:
    """Sums and balances of period_orders, with the histogram of gaps and the purchase days behind them."""
    table = "period_orders"
    nested = (
        "repeat_customers <= ordering_customers and returning_customers <= ordering_customers and ordering_customers <= orders"
        " and first_time_buyers <= ordering_customers and new_customer_orders <= orders and new_customer_revenue <= order_revenue"
        " and repeat_buyers_to_date <= buyers_to_date and ordering_customers_365d <= buyers_to_date"
        " and order_revenue_365d <= revenue_to_date"
    )
    ladder = " and ".join(
        f"{shorter} <= {longer}"
        for shorter, longer in zip(REPURCHASED, (*REPURCHASED[1:], "first_time_buyers"), strict=True)
    )
    rules = [
        key_is_unique(table, CELL),
        rows_hold(
            "orders_subsets", "a subset of orders or customers is no larger than the set", table, nested, ORDER_BALANCES
        ),
        rows_hold("repurchases_rise", "longer horizons see no fewer repurchases", table, ladder, REPURCHASED),
        never_negative(table, (*ORDER_FLOWS, *ORDER_BALANCES)),
        values_add_up(table, (*ORDER_FLOWS, *ORDER_BALANCES)),
        no_period_is_missing(table),
        grains_nest(table, ORDER_FLOWS),
        close_is_next_opening(
            "buyers_accumulate",
            table,
            "buyers_to_date - first_time_buyers",
            "buyers_to_date",
            only="segment_dimension = 'all'",
        ),
        close_is_next_opening(
            "revenue_accumulates",
            table,
            "revenue_to_date - order_revenue",
            "revenue_to_date",
            only="segment_dimension = 'all'",
        ),
        Rule(
            "purchase_gaps_are_their_histogram",
            "purchase_gaps and purchase_gap_days are the sums over period_purchase_gaps",
            f"""
            select {", ".join(CELL)}, sum(gaps) as purchase_gaps, sum(gap_days) as purchase_gap_days,
                sum(histogram) as histogram, sum(histogram_days) as histogram_days
            from (
                select {", ".join(CELL)}, purchase_gaps as gaps, purchase_gap_days as gap_days, 0 as histogram, 0 as histogram_days
                from period_orders
                union all
                select {", ".join(CELL)}, 0, 0, purchase_gaps, purchase_gaps * gap_days from period_purchase_gaps
            )
            group by all having sum(gaps) <> sum(histogram) or sum(gap_days) <> sum(histogram_days)
            """,
            (table, "period_purchase_gaps"),
        ),
        *starts_from_nothing(settings, table, "buyers_to_date - first_time_buyers"),
    ]
    if settings.history_start is None:
        rules.append(
            Rule(
                "orders_are_those_of_purchase_days",
                "orders and order_revenue of all months are those of int_purchase_days before as_of",
                """
                with sums as (
                    select sum(orders) as orders, sum(order_revenue) as order_revenue
                    from period_orders where grain = 'month' and segment_dimension = 'all'
                ),
                facts as (
                    select sum(orders) as orders, sum(revenue) as order_revenue
                    from int_purchase_days where purchase_date < (select max(close_date) from periods)
                )
                select sums.orders, facts.orders as orders_of_facts, sums.order_revenue, facts.order_revenue as revenue_of_facts
                from sums cross join facts
                where sums.orders is distinct from facts.orders or sums.order_revenue is distinct from facts.order_revenue
                """,
                (table, "int_purchase_days", "periods"),
            )
        )
    return rules


def mrr_rules(settings: Settings) -> list[Rule]:
    """The MRR bridge, retention of revenue, classes of churn and renewals of period_mrr; native rows carry balances alone."""
    table = "period_mrr"
    reporting = sql_text(settings.business.reporting_currency)
    kept = (
        "mrr_open = mrr_start and mrr_kept between 0 and mrr_open and mrr_kept <= mrr_kept_and_grown"
        " and mrr_cancelled between 0 and mrr_open - mrr_kept"
    )
    kept_12m = "mrr_kept_12m between 0 and mrr_open_12m and mrr_kept_12m <= mrr_kept_and_grown_12m"
    shown = ("mrr_start", "mrr_open", "mrr_kept", "mrr_kept_and_grown", "mrr_cancelled")
    return [
        key_is_unique(table, (*CELL, "currency")),
        Rule(
            "mrr_bridge",
            "mrr_start + new + reactivation + expansion - contraction - churn = mrr_end where no currency is foreign",
            f"""
            select {", ".join(CELL)}, mrr_start, {", ".join(MRR_MOVEMENTS)}, mrr_end
            from {MRR}
            where mrr_start + mrr_new + mrr_reactivation + mrr_expansion - mrr_contraction - mrr_churn is distinct from mrr_end
                and not exists (select 1 from period_mrr where currency not in ('all', {reporting}))
            """,
            (table,),
        ),
        rows_hold(
            "mrr_kept_within_opening", "0 <= kept <= opening, and kept <= kept and grown", table, kept, shown, MRR
        ),
        rows_hold(
            "mrr_kept_within_opening_12m",
            "0 <= kept <= opening, and kept <= kept and grown, over 12 months",
            table,
            kept_12m,
            ("mrr_open_12m", "mrr_kept_12m", "mrr_kept_and_grown_12m"),
            MRR,
        ),
        rows_hold(
            "lost_classes_add_up",
            "involuntary + voluntary + unknown = customers_lost",
            table,
            "lost_involuntary + lost_voluntary + lost_unknown = customers_lost",
            ("lost_involuntary", "lost_voluntary", "lost_unknown", "customers_lost"),
            MRR,
        ),
        rows_hold(
            "renewals_add_up",
            "renewed + not renewed + pending = due, and what is renewed is no more than what was due",
            table,
            "renewals_renewed + renewals_not_renewed + renewals_pending = renewals_due and renewal_mrr_renewed <= renewal_mrr_due",
            (
                "renewals_due",
                "renewals_renewed",
                "renewals_not_renewed",
                "renewals_pending",
                "renewal_mrr_due",
                "renewal_mrr_renewed",
            ),
            MRR,
        ),
        never_negative(table, (*MRR_MOVEMENTS, *MRR_COUNTS, *MRR_OTHERS, "mrr_moved_in", "mrr_moved_out"), MRR),
        values_add_up(table, (*MRR_MOVEMENTS, *MRR_COUNTS, *MRR_OTHERS), MRR),
        moves_cancel(table, "mrr_moved_in", "mrr_moved_out", MRR),
        close_is_next_opening(
            "mrr_close_is_next_opening", table, "mrr_start", "mrr_end", moved="mrr_moved_in - mrr_moved_out", source=MRR
        ),
        no_period_is_missing(table, MRR),
        grains_nest(table, (*MRR_MOVEMENTS, *MRR_COUNTS), MRR),
        *starts_from_nothing(settings, table, "mrr_start", MRR),
        Rule(
            "mrr_customers_are_the_customers",
            "customers with MRR at opening and close, and those lost, are those of period_customers (basis subscription)",
            f"""
            select grain, period_start, segment_dimension, segment_value, sum(opening) as opening_difference,
                sum(closing) as closing_difference, sum(lost) as lost_difference
            from (
                select grain, period_start, segment_dimension, segment_value,
                    customers_open as opening, paying_customers_end as closing, customers_lost as lost
                from {MRR}
                union all
                select grain, period_start, segment_dimension, segment_value, -customers_start, -customers_end, -customers_lost
                from period_customers where basis = 'subscription'
            )
            group by all having sum(opening) <> 0 or sum(closing) <> 0 or sum(lost) <> 0
            """,
            (table, "period_customers"),
        ),
        Rule(
            "mrr_movements_are_the_sums",
            "movements of a month are the sums of mrr_movements (all)",
            f"""
            with movements as (
                select 'month' as grain, cast(date_trunc('month', movement_date) as date) as period_start,
                    sum(case when movement = 'new' then amount else 0 end) as mrr_new,
                    sum(case when movement = 'reactivation' then amount else 0 end) as mrr_reactivation,
                    sum(case when movement = 'expansion' then amount else 0 end) as mrr_expansion,
                    sum(case when movement = 'contraction' then -amount else 0 end) as mrr_contraction,
                    sum(case when movement = 'churn' then -amount else 0 end) as mrr_churn
                from mrr_movements group by all
            )
            select cells.grain, cells.period_start, {", ".join(f"cells.{m}, movements.{m} as {m}_of_movements" for m in MRR_MOVEMENTS)}
            from (select * from {MRR} where grain = 'month' and segment_dimension = 'all') as cells
            left join movements on cells.period_start = movements.period_start
            where {" or ".join(f"cells.{m} <> coalesce(movements.{m}, 0)" for m in MRR_MOVEMENTS)}
            """,
            (table, "mrr_movements"),
        ),
    ]


def cohort_rules(settings: Settings) -> list[Rule]:
    """cohort_retention: nobody is retained who was not there, and sums only grow."""
    table = "cohort_retention"
    key = ("basis", "grain", "segment_dimension", "segment_value", "cohort_start", "age")
    columns = ", ".join(key)
    within = "active between 0 and active_or_later and active_or_later <= cohort_size and cohort_size > 0"
    rules = [
        key_is_unique(table, key),
        Rule(
            "cohort_within_size",
            "active <= active_or_later <= cohort_size",
            f"select {columns}, cohort_size, active, active_or_later from {table} where ({within}) is not true",
            (table,),
        ),
        Rule(
            "cohort_later_never_rises",
            "active_or_later never rises with age, cumulative revenue never falls, the size stays",
            f"""
            select {columns}, active_or_later, previous_later, cumulative_revenue, previous_revenue, cohort_size, previous_size
            from (
                select *, lag(active_or_later) over ages as previous_later, lag(cumulative_revenue) over ages as previous_revenue,
                    lag(cohort_size) over ages as previous_size
                from {table}
                window ages as (partition by basis, grain, segment_dimension, segment_value, cohort_start order by age)
            )
            where active_or_later > previous_later or cumulative_revenue < previous_revenue or cohort_size <> previous_size
            """,
            (table,),
        ),
        Rule(
            "cohort_retention_segments_add_up",
            "in cohort_retention the values of each dimension add up to all",
            f"""
            with totals as (select * from {table} where segment_dimension = 'all'),
            dimensions as (select distinct basis, segment_dimension as dimension from {table} where segment_dimension <> 'all'),
            parts as (
                select basis, grain, segment_dimension as dimension, cohort_start, age, sum(cohort_size) as cohort_size,
                    sum(active) as active, sum(active_or_later) as active_or_later, sum(revenue) as revenue
                from {table} where segment_dimension <> 'all' group by all
            )
            select totals.basis, totals.grain, totals.cohort_start, totals.age, dimensions.dimension,
                totals.cohort_size, parts.cohort_size as size_of_values, totals.active, parts.active as active_of_values
            from totals
            inner join dimensions on totals.basis = dimensions.basis
            left join parts on totals.basis = parts.basis and totals.grain = parts.grain
                and totals.cohort_start = parts.cohort_start and totals.age = parts.age and dimensions.dimension = parts.dimension
            where totals.cohort_size is distinct from parts.cohort_size or totals.active is distinct from parts.active
                or totals.active_or_later is distinct from parts.active_or_later or totals.revenue is distinct from parts.revenue
            """,
            (table,),
        ),
    ]
    if settings.business.cohort_event == "first_activity":
        rules.append(
            Rule(
                "cohort_starts_whole",
                "at age 0 everybody of a cohort is active",
                f"select {columns}, cohort_size, active from {table} where age = 0 and active <> cohort_size",
                (table,),
            )
        )
    return rules


def kpi_rows_of(family: Family) -> tuple[int, int]:
    """How many KPI rows a cell of the family has: of `all`, of a segment value."""
    kpis = family_kpis(family)
    return sum(not kpi.segments_only for kpi in kpis), len(kpis)


def kpi_rules(families: Sequence[Family]) -> list[Rule]:
    """retention_kpis against the period tables: a row per KPI and cell, none missing, none more; GRR <= min(1, NRR)."""
    cells = [
        f"select {', '.join(CELL)}, case when segment_dimension = 'all' then {total} else {each} end as expected, 0 as found"
        f" from {family.period_table}" + (f" where {family.rows}" if family.rows else "")
        for family in families
        for total, each in [kpi_rows_of(family)]
    ]
    tables = tuple(family.period_table for family in families)
    rules = [
        key_is_unique("retention_kpis", ("kpi", *CELL)),
        Rule(
            "kpi_revenue_retention",
            "gross_revenue_retention <= min(1, net_revenue_retention), also over 12 months",
            f"""
            select gross.kpi, {", ".join(f"gross.{name}" for name in CELL)}, gross.value as gross, net.value as net
            from retention_kpis as gross
            inner join retention_kpis as net
                on net.kpi = replace(gross.kpi, 'gross', 'net') and {" and ".join(f"gross.{c} = net.{c}" for c in CELL)}
            where gross.kpi in ('gross_revenue_retention', 'gross_revenue_retention_12m')
                and net.kpi in ('net_revenue_retention', 'net_revenue_retention_12m')
                and gross.value > least(1, net.value)
            """,
            ("retention_kpis",),
        ),
    ]
    if cells:
        rules.append(
            Rule(
                "kpi_rows_are_the_cells",
                "retention_kpis has a row per KPI of the family for each cell of its period table, and no other",
                f"""
                select {", ".join(CELL)}, sum(expected) as expected_rows, sum(found) as found_rows
                from (
                    {" union all ".join(cells)}
                    union all
                    select {", ".join(CELL)}, 0, count(*) from retention_kpis group by all
                )
                group by all having sum(expected) <> sum(found)
                """,
                ("retention_kpis", *tables),
            )
        )
    return rules


def starts_from_nothing(settings: Settings, table: str, opening: str, source: str | None = None) -> list[Rule]:
    """Unless history before the first row is left out, the first period opens with nothing."""
    if settings.history_start is not None:
        return []
    sql = f"""
    select grain, period_start, basis, {opening} as opening
    from {source or table}
    where segment_dimension = 'all'
    qualify period_start = min(period_start) over (partition by grain, basis) and coalesce({opening}, 0) <> 0
    """
    return [Rule(f"{table}_starts_from_nothing", f"{opening} is 0 in the first period of {table}", sql, (table,))]


NO_VIEW_READS_ELSEWHERE = Rule(
    "views_read_own_tables",
    "no published view reads raw or another generation",
    """
    select view_name from duckdb_views()
    where not internal and schema_name = 'main' and (contains(sql, 'raw_store') or contains(sql, 'previous.'))
    """,
    (),
)
