"""What must hold in what is said of customers at as_of: survival curves, profiles, cut-points, customers at risk."""

from retention_pipeline.audit.shapes import Rule

CURVE = "basis, segment_dimension, segment_value"
TOLERANCE = "1e-9"
AS_OF = "(select max(close_date) from periods)"


def life_rules() -> list[Rule]:
    """Survival never rises; profiles are the customers of the period that holds the eve of as_of; lists name some of
    them.
    """
    return [
        Rule(
            "survival_never_rises",
            "a curve starts at 1 with everybody, never rises, lies in its interval; who left or is censored is no more",
            f"""
            select {CURVE}, t, survival, survival_before, at_risk, expected
            from (
                select *,
                    lag(survival) over curve as survival_before,
                    lag(at_risk - events - censored) over curve as expected,
                    lead(t) over curve is null as is_last
                from survival_curves window curve as (partition by {CURVE} order by t)
            )
            where (
                case when survival_before is null then t = 0 and survival = 1
                    else survival <= survival_before + {TOLERANCE} end
                and coalesce(at_risk = expected, t = 0)
                and (not is_last or at_risk = events + censored)
                and 0 <= ci_low and ci_low <= survival + {TOLERANCE}
                and survival <= ci_high + {TOLERANCE} and ci_high <= 1
            ) is not true
            """,
            ("survival_curves",),
        ),
        Rule(
            "profiles_are_the_customers",
            "in customer_profiles are as many active customers as at the end of the last period",
            f"""
            with profiles as materialized (
                select
                    count(*) filter (where is_active_order) as "order",
                    count(*) filter (where is_active_subscription) as subscription,
                    count(*) filter (where is_active_any) as "any"
                from customer_profiles
            ),
            counted as (unpivot profiles on columns(*) into name basis value active_customers)
            select cells.period_start, basis, cells.customers_end, counted.active_customers
            from counted inner join period_customers as cells using (basis)
            where cells.grain = 'month' and cells.segment_dimension = 'all' and cells.period_start in (
                select period_start from periods where grain = 'month' and close_date = {AS_OF}
            ) and cells.customers_end <> counted.active_customers
            """,
            ("customer_profiles", "period_customers", "periods"),
        ),
        Rule(
            "profiles_have_the_mrr",
            "in customer_profiles is as much MRR as at the end of the last period",
            f"""
            select cells.period_start, cells.mrr_end, profiles.mrr
            from (select sum(mrr) as mrr from customer_profiles) as profiles cross join period_mrr as cells
            where cells.grain = 'month' and cells.segment_dimension = 'all' and cells.currency = 'all'
                and cells.period_start in (
                    select period_start from periods where grain = 'month' and close_date = {AS_OF}
                ) and cells.mrr_end is distinct from coalesce(profiles.mrr, 0)
            """,
            ("customer_profiles", "period_mrr", "periods"),
        ),
        Rule(
            "at_risk_are_active",
            "who is at risk is active at as_of",
            f"""
            select customer_id, reasons from at_risk
            where {AS_OF} is not null and customer_id not in (
                select customer_id from int_customers inner join int_active_spans using (customer_key)
                where start_date < {AS_OF} and end_date >= {AS_OF}
            )
            """,
            ("at_risk", "int_customers", "int_active_spans", "periods"),
        ),
        Rule(
            "cut_points_rise",
            "a greater share of customers has no smaller cut-point, and each measure has all four",
            """
            select measure, quantile, value, value_before
            from (
                select *, lag(value) over measured as value_before, count(*) over (partition by measure) as quantiles
                from rfm_cut_points window measured as (partition by measure order by quantile)
            )
            where (quantiles = 4 and coalesce(value_before <= value, quantile = 0.2)) is not true
            """,
            ("rfm_cut_points",),
        ),
    ]
