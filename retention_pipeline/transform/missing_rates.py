"""The days on which a figure needs a rate of exchange that there is none for: a statement per use of rates.

Each gives dataset, currency and day, and applies where its tables are there. What is looked for first is days without a
rate, of which there are hardly any.
"""

MISSING_RATES = {
    # Orders and refunds, found by the model that converts them.
    ("missing_fx_rates",): """
        select dataset, currency, rate_date from missing_fx_rates
    """,
    # MRR: its changes at the rate of their day, balances and terms at the rate of the eve.
    ("int_mrr_changes", "int_fx_rates", "int_terms", "periods"): """
        with balances as (
            select currency, change_date, next_change_date, mrr_before, mrr_after
            from int_mrr_changes
            where currency <> $reporting_currency and change_date < $as_of
        ),
        boundaries as (
            select period_start as boundary from periods
            union select close_date from periods
            union select cast(close_date - to_months(12) as date) from periods
        ),
        eves as (
            select currencies.currency, boundaries.boundary - 1 as rate_date
            from (select distinct currency from balances) as currencies
            cross join boundaries
            anti join int_fx_rates as rates
                on currencies.currency = rates.currency and boundaries.boundary - 1 = rates.rate_date
        ),
        needed as (
            select balances.currency, balances.change_date as rate_date
            from balances
            anti join int_fx_rates as rates
                on balances.currency = rates.currency and balances.change_date = rates.rate_date
            where balances.mrr_before <> balances.mrr_after
            union
            select eves.currency, eves.rate_date
            from eves
            inner join balances on eves.currency = balances.currency
                and balances.change_date <= eves.rate_date and eves.rate_date < balances.next_change_date
            where balances.mrr_after > 0
            union
            select currency, term_date - 1 from int_terms
            where mrr_due is null and term_date < $as_of and term_date >= (select min(period_start) from periods)
        )
        select 'subscriptions', currency, rate_date from needed
    """,
    # MRR of the close at the opening's rates, of customers who paid at the opening: a currency may be new to them.
    ("int_mrr_changes", "int_fx_rates", "periods"): """
        with pairs as (
            select period_start as opening, close_date from periods
            union select cast(close_date - to_months(12) as date), close_date from periods
        ),
        gaps as (
            select currencies.currency, pairs.opening, pairs.close_date
            from (select distinct currency from int_mrr_changes where currency <> $reporting_currency) as currencies
            cross join pairs
            anti join int_fx_rates as rates
                on currencies.currency = rates.currency and pairs.opening - 1 = rates.rate_date
        )
        select 'subscriptions', gaps.currency, gaps.opening - 1
        from gaps
        inner join int_mrr_changes as held on gaps.currency = held.currency
            and held.change_date < gaps.close_date and gaps.close_date <= held.next_change_date
        inner join int_mrr_changes as paid on held.customer_key = paid.customer_key
            and paid.change_date < gaps.opening and gaps.opening <= paid.next_change_date
        where held.mrr_after > 0 and paid.mrr_after > 0
    """,
    # Revenue of cohorts, which also have periods before history_start, at the rate of each close.
    ("int_cohort_level_flows", "cohort_retention", "int_fx_rates", "int_periods"): """
        with eves as (
            select grain, period_number, period_start, close_date - 1 as eve
            from int_periods
            where period_start >= (select min(cohort_start) from cohort_retention where basis = 'subscription')
        ),
        gaps as (
            select currencies.currency, eves.*
            from (select distinct currency from int_cohort_level_flows) as currencies
            cross join eves
            anti join int_fx_rates as rates on currencies.currency = rates.currency and eves.eve = rates.rate_date
        ),
        levels as (
            select grain, cohort_number, currency, period_number as from_number,
                lead(period_number) over (
                    partition by grain, cohort_number, currency, mrr order by period_number
                ) as to_number,
                sum(customers) over (
                    partition by grain, cohort_number, currency, mrr order by period_number
                ) as customers
            from int_cohort_level_flows
            where segment_dimension = 'all' and exists (from gaps)
        )
        select distinct 'subscriptions', gaps.currency, gaps.eve
        from gaps
        inner join levels on gaps.grain = levels.grain and gaps.currency = levels.currency
            and levels.from_number <= gaps.period_number
            and (levels.to_number is null or gaps.period_number < levels.to_number)
        inner join eves as begun on levels.grain = begun.grain and levels.cohort_number = begun.period_number
        semi join cohort_retention as cells on cells.basis = 'subscription' and cells.segment_dimension = 'all'
            and gaps.grain = cells.grain and begun.period_start = cells.cohort_start
            and gaps.period_number - levels.cohort_number = cells.age
        where levels.customers <> 0
    """,
    # The phase with the highest MRR on the last day that counts decides the class of churn.
    ("int_lost_classes", "int_counted_phases", "int_fx_rates"): """
        with unrated as (
            select phases.customer_key, phases.end_date, phases.currency
            from int_counted_phases as phases
            anti join int_fx_rates as rates
                on phases.currency = rates.currency and phases.end_date - 1 = rates.rate_date
            where phases.currency <> $reporting_currency and phases.end_date < $as_of
        )
        select 'subscriptions', unrated.currency, unrated.end_date - 1
        from unrated
        semi join int_lost_classes as lost
            on unrated.customer_key = lost.customer_key and unrated.end_date = lost.end_date
        semi join int_counted_phases as others
            on unrated.customer_key = others.customer_key and unrated.end_date = others.end_date
            and unrated.currency <> others.currency
    """,
    # The one with the highest MRR on a day on which the phases of a customer change gives the plan.
    ("int_segment_spans", "int_counted_phases", "int_fx_rates"): """
        with phases as (
            select customer_key, currency, start_date, end_date
            from int_counted_phases
            semi join (
                select customer_key from int_counted_phases group by customer_key having min(currency) <> max(currency)
            ) as several using (customer_key)
            where exists (select 1 from int_segment_spans where dimension = 'plan')
        ),
        days as (
            select customer_key, start_date as change_date from phases
            union select customer_key, end_date from phases
        )
        select 'subscriptions', phases.currency, days.change_date
        from days
        inner join phases on days.customer_key = phases.customer_key
            and phases.start_date <= days.change_date and days.change_date < phases.end_date
        semi join phases as others on days.customer_key = others.customer_key
            and others.start_date <= days.change_date and days.change_date < others.end_date
            and phases.currency <> others.currency
        anti join int_fx_rates as rates on phases.currency = rates.currency and days.change_date = rates.rate_date
        where days.change_date < $as_of and phases.currency <> $reporting_currency
    """,
    # What renews a term is compared at the rates of the term's eve.
    ("int_terms", "int_counted_phases", "int_fx_rates", "periods"): """
        with renewed as (
            select subscription_id, customer_key, term_date - 1 as eve, renewed_date
            from int_terms
            where renewed_date is not null and resolved_date <= $as_of
                and term_date >= (select min(period_start) from periods)
        ),
        gaps as (
            select currencies.currency, eves.eve
            from (select distinct currency from int_counted_phases where currency <> $reporting_currency) as currencies
            cross join (select distinct eve from renewed) as eves
            anti join int_fx_rates as rates on currencies.currency = rates.currency and eves.eve = rates.rate_date
        ),
        renewing as (
            select renewed.*, gaps.currency
            from gaps
            inner join renewed using (eve)
        )
        select 'subscriptions', renewing.currency, renewing.eve
        from renewing
        inner join int_counted_phases as phases on renewing.customer_key = phases.customer_key
            and renewing.currency = phases.currency and not phases.is_past_due
            and phases.start_date <= renewing.renewed_date and renewing.renewed_date < phases.end_date
        anti join int_counted_phases as before on renewing.customer_key = before.customer_key
            and phases.subscription_id = before.subscription_id
            and renewing.subscription_id <> before.subscription_id
            and before.start_date <= renewing.eve and renewing.eve < before.end_date
        union  -- the subscription itself, which may be another customer's by then
        select 'subscriptions', renewing.currency, renewing.eve
        from renewing
        inner join int_counted_phases as phases on renewing.subscription_id = phases.subscription_id
            and renewing.currency = phases.currency and not phases.is_past_due
            and phases.start_date <= renewing.renewed_date and renewing.renewed_date < phases.end_date
    """,
}
