"""What must hold in period_mrr: the MRR bridge, retention of revenue, classes of churn, renewals."""

from retention_pipeline.audit.shapes import (
    CELL,
    Rule,
    close_is_next_opening,
    moves_cancel,
    rows_hold,
    starts_from_nothing,
)
from retention_pipeline.settings import Settings
from retention_pipeline.warehouse import sql_text

MRR_MOVEMENTS = ("mrr_new", "mrr_expansion", "mrr_contraction", "mrr_churn", "mrr_reactivation")
# period_mrr also has rows per native currency, with the balances alone.
MRR = "(select * from period_mrr where currency = 'all')"


def mrr_rules(settings: Settings) -> list[Rule]:
    """The MRR bridge, retention of revenue, churn and renewals of period_mrr; native rows carry balances alone."""
    table = "period_mrr"
    reporting = sql_text(settings.business.reporting_currency)
    kept = (
        "mrr_open = mrr_start and mrr_kept between 0 and mrr_open and mrr_kept <= mrr_kept_and_grown"
        " and mrr_cancelled between 0 and mrr_open - mrr_kept"
    )
    kept_12m = "mrr_kept_12m between 0 and mrr_open_12m and mrr_kept_12m <= mrr_kept_and_grown_12m"
    compared = ", ".join(f"cells.{m}, movements.{m} as {m}_of_movements" for m in MRR_MOVEMENTS)
    shown = ("mrr_start", "mrr_open", "mrr_kept", "mrr_kept_and_grown", "mrr_cancelled")
    return [
        Rule(
            "mrr_bridge",
            "mrr_start + new + reactivation + expansion - contraction - churn = mrr_end where no currency is foreign",
            f"""
            select {", ".join(CELL)}, mrr_start, {", ".join(MRR_MOVEMENTS)}, mrr_end
            from {MRR}
            where mrr_start + mrr_new + mrr_reactivation + mrr_expansion - mrr_contraction - mrr_churn
                is distinct from mrr_end
                and not exists (select 1 from int_mrr_changes where currency <> {reporting})
            """,
            (table, "int_mrr_changes"),
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
            "renewals_renewed + renewals_not_renewed + renewals_pending = renewals_due"
            " and renewal_mrr_renewed <= renewal_mrr_due",
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
        moves_cancel(table, "mrr_moved_in", "mrr_moved_out", MRR),
        close_is_next_opening(
            "mrr_close_is_next_opening", table, "mrr_start", "mrr_end", moved="mrr_moved_in - mrr_moved_out", source=MRR
        ),
        *starts_from_nothing(settings, table, "mrr_start", MRR),
        Rule(
            "mrr_customers_are_the_customers",
            "customers with MRR at opening and close, and the lost, are those of period_customers (basis subscription)",
            f"""
            select grain, period_start, segment_dimension, segment_value, sum(opening) as opening_difference,
                sum(closing) as closing_difference, sum(lost) as lost_difference
            from (
                select grain, period_start, segment_dimension, segment_value,
                    customers_open as opening, paying_customers_end as closing, customers_lost as lost
                from {MRR}
                union all
                select grain, period_start, segment_dimension, segment_value,
                    -customers_start, -customers_end, -customers_lost
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
                from int_mrr_movements group by all
            )
            select cells.grain, cells.period_start, {compared}
            from (select * from {MRR} where grain = 'month' and segment_dimension = 'all') as cells
            left join movements on cells.period_start = movements.period_start
            where {" or ".join(f"cells.{m} <> coalesce(movements.{m}, 0)" for m in MRR_MOVEMENTS)}
            """,
            (table, "int_mrr_movements"),
        ),
    ]
