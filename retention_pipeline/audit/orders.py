"""What must hold in period_orders: subsets, accumulated balances, the histogram of gaps, the purchase days."""

from retention_pipeline.audit.shapes import (
    CELL,
    Rule,
    adds_up,
    close_is_next_opening,
    rows_hold,
    starts_from_nothing,
)
from retention_pipeline.settings import Settings

REPURCHASED = ("repurchased_30d", "repurchased_60d", "repurchased_90d", "repurchased_180d", "repurchased_365d")
COMPARED = (
    "orders",
    "ordering_customers",
    "repeat_customers",
    "returning_customers",
    "first_time_buyers",
    "buyers_to_date",
    "repeat_buyers_to_date",
    "ordering_customers_365d",
    "order_revenue",
    "new_customer_revenue",
    "revenue_to_date",
    "order_revenue_365d",
)


def order_rules(settings: Settings) -> list[Rule]:
    """Sums and balances of period_orders, with the histogram of gaps and the purchase days behind them."""
    table = "period_orders"
    nested = (
        "repeat_customers <= ordering_customers and returning_customers <= ordering_customers"
        " and ordering_customers <= orders and first_time_buyers <= ordering_customers"
        " and new_customer_orders <= orders and new_customer_revenue <= order_revenue"
        " and repeat_buyers_to_date <= buyers_to_date and ordering_customers_365d <= buyers_to_date"
        " and order_revenue_365d <= revenue_to_date"
    )
    ladder = " and ".join(
        f"{shorter} <= {longer}"
        for shorter, longer in zip(REPURCHASED, (*REPURCHASED[1:], "first_time_buyers"), strict=True)
    )
    rules = [
        rows_hold(
            "orders_subsets", "a subset of orders or customers is no larger than the set", table, nested, COMPARED
        ),
        rows_hold("repurchases_rise", "longer horizons see no fewer repurchases", table, ladder, REPURCHASED),
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
                select {", ".join(CELL)}, purchase_gaps as gaps, purchase_gap_days as gap_days,
                    0 as histogram, 0 as histogram_days
                from period_orders
                union all
                select {", ".join(CELL)}, 0, 0, purchase_gaps, purchase_gaps * gap_days from period_purchase_gaps
            )
            group by all having sum(gaps) <> sum(histogram) or sum(gap_days) <> sum(histogram_days)
            """,
            (table, "period_purchase_gaps"),
        ),
        *(
            adds_up(parts, {"orders": "orders", "order_revenue": "order_revenue"}, table, opening_is_whole(settings))
            for parts in ("order_value_by_rank", "revenue_by_tenure")
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
                    select coalesce(sum(orders), 0) as orders, coalesce(sum(order_revenue), 0) as order_revenue
                    from period_orders where grain = 'month' and segment_dimension = 'all'
                ),
                facts as (
                    select coalesce(sum(orders), 0) as orders, coalesce(sum(revenue), 0) as order_revenue
                    from int_purchase_days where purchase_date < (select max(close_date) from periods)
                )
                select sums.orders, facts.orders as orders_of_facts,
                    sums.order_revenue, facts.order_revenue as revenue_of_facts
                from sums cross join facts
                where sums.orders is distinct from facts.orders
                    or sums.order_revenue is distinct from facts.order_revenue
                """,
                (table, "int_purchase_days", "periods"),
            )
        )
    return rules


def opening_is_whole(settings: Settings) -> str:
    """SQL: data_start does not cut the opening of a period for basis order; tables that know a customer's first order
    have no rows where it does.
    """
    business = settings.business
    if business.data_start is None:
        return "true"
    return f"period_start - {business.activity_window_days} >= date '{business.data_start}'"
