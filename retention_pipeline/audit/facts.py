"""What must hold in the facts of each customer, whatever the sums say: spans lie apart, values follow one another.

A span too many shifts the sums of all tables alike, so that every reconciliation closes; here it shows. Each rule gives
one row per broken place, with the customer's key and id. At night only facts of touched customers changed, and only
they are looked at.
"""

from retention_pipeline.audit.shapes import Rule

CUSTOMERS = "int_customers"


def fact_rules(*, touched_only: bool = False) -> list[Rule]:
    """The rules of facts of customers; `touched_only`: of those whom this night touched (night_touched)."""
    return [
        follows_on(
            "spans_lie_apart",
            "spans of a customer and basis neither overlap nor touch",
            "int_active_spans",
            ("basis", "customer_key"),
            gap=1,
            touched_only=touched_only,
        ),
        follows_on(
            "one_value_at_a_time",
            "a customer is at one value of a dimension at a time",
            "int_segment_spans",
            ("dimension", "customer_key"),
            in_chains=True,
            touched_only=touched_only,
        ),
        follows_on(
            "one_profile_at_a_time",
            "a customer has one profile at a time",
            "int_profile_spans",
            ("grain", "customer_key"),
            start="from_period",
            end="to_period",
            in_chains=True,
            touched_only=touched_only,
        ),
        _profiles_for_life(touched_only),
        follows_on(
            "phases_follow_one_another",
            "counted phases of a subscription do not overlap",
            "int_counted_phases",
            ("subscription_id",),
            touched_only=touched_only,
        ),
        _purchase_days_once(touched_only),
        _mrr_goes_on(touched_only),
    ]


def follows_on(
    name: str,
    sentence: str,
    table: str,
    owner: tuple[str, ...],
    *,
    start: str = "start_date",
    end: str = "end_date",
    gap: int = 0,
    in_chains: bool = False,
    touched_only: bool = False,
) -> Rule:
    """Intervals [start, end) of an owner: none is empty, and each begins `gap` days or more after the one before.

    Ordered by start, any two that overlap make two neighbours overlap, however ties lie. `in_chains`: an interval
    mostly begins where another ends (so `gap` is 0). Owners of whom that is so of all but the first (compared by the
    sum of hashes) have one at a time: only the others are put in order, which takes five times as long.
    """
    owned_by = ", ".join(owner)
    facts = _facts(table, touched_only)
    put_in_order = f"""
        where hash({owned_by}) in (
            select owner from (select hash({owned_by}) as owner, {start}, {end} from {facts} as facts) as owned
            group by owner
            having count_if({start} >= {end}) > 0
                or sum(hash({start})) - hash(min({start})) <> sum(hash({end})) - hash(max({end}))
        )"""
    shown = ", ".join(f"spans.{column}" for column in owner if column != "customer_key")
    return Rule(
        name,
        sentence,
        f"""
        select spans.customer_key, customers.customer_id, {shown}, spans.{start}, spans.{end}, spans.end_before
        from (
            select {", ".join(dict.fromkeys((*owner, "customer_key")))}, {start}, {end},
                lag({end}) over (partition by {owned_by} order by {start}, {end}) as end_before
            from {facts} as facts {put_in_order if in_chains else ""}
        ) as spans
        left join {CUSTOMERS} as customers on spans.customer_key = customers.customer_key
        where spans.{start} >= spans.{end} or spans.end_before + {gap} > spans.{start}
        """,
        (table, CUSTOMERS),
    )


def _profiles_for_life(touched_only: bool) -> Rule:
    return Rule(
        "profiles_for_life_are_the_only_ones",
        "a customer with one profile for life has no other",
        f"""
        select several.customer_key, customers.customer_id, several.profiles
        from (
            select customer_key, count(*) as profiles from {_facts("int_profile_spans", touched_only)} as facts
            group by customer_key having count(*) > 1 and bool_or(rule = 'any')
        ) as several
        left join {CUSTOMERS} as customers on several.customer_key = customers.customer_key
        """,
        ("int_profile_spans", CUSTOMERS),
    )


def _purchase_days_once(touched_only: bool) -> Rule:
    """Days are counted only of customers whose days are not linked: one has none before it, each other one lies after
    the one before it, and the days before are all days but the last (compared by the sum of their hashes). From the
    first day on, no day of a linked customer can be there twice; to see this takes a third of counting all days.
    """
    facts = _facts("int_purchase_days", touched_only)
    return Rule(
        "purchase_days_are_unique",
        "int_purchase_days has one row per customer and purchase_date",
        f"""
        select days.customer_key, customers.customer_id, days.purchase_date, days.rows_of_day
        from (
            select customer_key, purchase_date, count(*) as rows_of_day from {facts} as facts
            where customer_key in (
                select customer_key from {facts} as linked
                group by customer_key
                having count(*) - count(previous_date) <> 1 or count_if(previous_date >= purchase_date) > 0
                    or sum(hash(purchase_date)) <> hash(max(purchase_date))
                        + sum(case when previous_date is null then 0 else hash(previous_date) end)
            )
            group by customer_key, purchase_date having count(*) > 1
        ) as days
        left join {CUSTOMERS} as customers on days.customer_key = customers.customer_key
        """,
        ("int_purchase_days", CUSTOMERS),
    )


def _mrr_goes_on(touched_only: bool) -> Rule:
    return Rule(
        "mrr_goes_on_where_it_was",
        "what a customer pays before a change is what it paid after the one before, never less than 0",
        f"""
        select changes.customer_key, customers.customer_id, changes.currency, changes.change_date,
            changes.after_before, changes.mrr_before, changes.mrr_after
        from (
            select *, lag(mrr_after, 1, 0) over (
                partition by customer_key, currency order by change_date, mrr_before, mrr_after) as after_before
            from {_facts("int_mrr_changes", touched_only)} as facts
        ) as changes
        left join {CUSTOMERS} as customers on changes.customer_key = customers.customer_key
        where changes.after_before <> changes.mrr_before or changes.mrr_after < 0
        """,
        ("int_mrr_changes", CUSTOMERS),
    )


def _facts(table: str, touched_only: bool) -> str:
    if not touched_only:
        return table
    return f"(select * from {table} where customer_key in (select customer_key from night_touched))"
