"""What must hold in period_acquisition: six months are the sums of their months."""

from retention_pipeline.audit.shapes import CELL, Rule
from retention_pipeline.kpis.inputs import MONTHS_BEHIND
from retention_pipeline.settings import Settings

TABLE = "period_acquisition"
SIX_MONTHS_START = f"cast(date_trunc('month', close_date) - to_months({MONTHS_BEHIND}) as date)"


def acquisition_rules(settings: Settings) -> list[Rule]:
    """What is added up over the six months behind a close, and whether there are six."""
    rules = [
        Rule(
            "six_months_are_their_months",
            "costs and new customers of the six months behind a close are the sums of these months",
            f"""
            with cells as (select * from {TABLE} inner join periods using (grain, period_start)),
            sums as (
                select cells.grain, cells.period_start, cells.basis, cells.segment_dimension, cells.segment_value,
                    sum(months.acquisition_cost) as cost, sum(months.customers_joined) as joined
                from cells inner join {TABLE} as months on months.grain = 'month'
                    and months.segment_dimension = cells.segment_dimension
                    and months.segment_value = cells.segment_value
                    and months.period_start >= {SIX_MONTHS_START}
                    and months.period_start < date_trunc('month', cells.close_date)
                where cells.segment_dimension = 'all'
                group by all having count(*) = {MONTHS_BEHIND}
            )
            select {", ".join(CELL)}, acquisition_cost_6m, cost, customers_joined_6m, joined
            from cells inner join sums using ({", ".join(CELL)})
            where acquisition_cost_6m <> cost or customers_joined_6m <> joined
            """,
            (TABLE, "periods"),
        ),
    ]
    if settings.history_start is None:
        rules.append(
            Rule(
                "months_are_short_until_there_are_six",
                "months_are_short where the first month of any costs lies after the first of the six",
                f"""
                with first_months as (
                    select min(period_start) as first_month from {TABLE}
                    where grain = 'month' and segment_dimension = 'all'
                )
                select {", ".join(CELL)}, months_are_short, first_month
                from {TABLE} inner join periods using (grain, period_start)
                inner join first_months on first_month is not null
                where months_are_short is distinct from (first_month > {SIX_MONTHS_START})
                """,
                (TABLE, "periods"),
            )
        )
    return rules
