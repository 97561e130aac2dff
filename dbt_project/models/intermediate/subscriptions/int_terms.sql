{{ config(materialized='by_customer') }}
with counted_phases as (
    select * from {{ fact_of_subscriptions('int_counted_phases') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

term_phases as (
    select
        *,
        cast({{ term_months('billing_interval', 'interval_count') }} as integer) as months,
        cast({{ term_days('billing_interval', 'interval_count') }} as integer) as days
    from counted_phases
    where {{ is_renewed_by_term('billing_interval', 'interval_count') }}
        and start_date < {{ as_of() }}
),

{# Term numbers that could fall within the phase, one too many on either side; from as_of on, only the first is needed. #}
numbered as (
    select
        *,
        {{ term_number('anchor_date', 'start_date', 'months', 'days') }} - 1 as first_number,
        {{ term_number('anchor_date', 'least(end_date, ' ~ as_of() ~ ')', 'months', 'days') }} + 2 as last_number
    from term_phases
),

counted as (
    {{ each_number('numbered', 'numbered.last_number - numbered.first_number') }}
),

possible as (
    select
        *,
        {{ moved_by_terms('anchor_date', '(first_number + n)', 'months', 'days') }} as term_date,
        {{ moved_by_terms('anchor_date', '(first_number + n - 1)', 'months', 'days') }} as term_date_before
    from counted
),

terms as (
    select
        subscription_id,
        customer_key,
        term_date,
        {{ add_days('term_date', -1) }} as eve_date,
        {{ add_days('term_date', renewal_days()) }} as resolved_date,
        currency,
        mrr,
        term_date < end_date and not is_past_due as goes_on
    from possible
    where term_date > start_date
        and term_date <= end_date
        and term_date_before < {{ as_of() }}
),

{# A term that its own active phase outlives is renewed on its very day, for all of its MRR. Only the others have to be looked into. #}
open_terms as (
    select *
    from terms
    where not goes_on
),

active_phases as (
    select *
    from counted_phases
    where not is_past_due
),

others_on_eve as (
    select distinct
        open_terms.subscription_id,
        open_terms.term_date,
        counted_phases.subscription_id as other_subscription_id
    from open_terms
    inner join counted_phases
        on open_terms.customer_key = counted_phases.customer_key
        and counted_phases.start_date <= open_terms.eve_date
        and counted_phases.end_date > open_terms.eve_date
),

candidates as (
    select
        open_terms.subscription_id,
        open_terms.term_date,
        greatest(active_phases.start_date, open_terms.term_date) as renewed_date,
        active_phases.currency,
        active_phases.mrr
    from open_terms
    inner join active_phases
        on open_terms.subscription_id = active_phases.subscription_id
        and active_phases.start_date < open_terms.resolved_date
        and active_phases.end_date > open_terms.term_date
    union all
    select
        open_terms.subscription_id,
        open_terms.term_date,
        greatest(active_phases.start_date, open_terms.term_date) as renewed_date,
        active_phases.currency,
        active_phases.mrr
    from open_terms
    inner join active_phases
        on open_terms.customer_key = active_phases.customer_key
        and open_terms.subscription_id <> active_phases.subscription_id
        and active_phases.start_date < open_terms.resolved_date
        and active_phases.end_date > open_terms.term_date
    left join others_on_eve
        on open_terms.subscription_id = others_on_eve.subscription_id
        and open_terms.term_date = others_on_eve.term_date
        and active_phases.subscription_id = others_on_eve.other_subscription_id
    where others_on_eve.other_subscription_id is null
),

first_days as (
    select
        *,
        min(renewed_date) over (partition by subscription_id, term_date) as first_renewed_date
    from candidates
),

by_currency as (
    select
        subscription_id,
        term_date,
        first_renewed_date,
        currency,
        sum(mrr) as mrr
    from first_days
    where renewed_date = first_renewed_date
    group by
        subscription_id,
        term_date,
        first_renewed_date,
        currency
),

renewals as (
    select
        by_currency.subscription_id,
        by_currency.term_date,
        by_currency.first_renewed_date as renewed_date,
        sum({{ mrr_to_reporting('by_currency.mrr', 'by_currency.currency', 'fx_rates.rate') }}) as mrr
    from by_currency
    left join fx_rates
        on by_currency.currency = fx_rates.currency
        and {{ add_days('by_currency.term_date', -1) }} = fx_rates.rate_date
    group by
        by_currency.subscription_id,
        by_currency.term_date,
        by_currency.first_renewed_date
),

valued as (
    select
        terms.*,
        {{ mrr_to_reporting('terms.mrr', 'terms.currency', 'fx_rates.rate') }} as mrr_due
    from terms
    left join fx_rates
        on terms.currency = fx_rates.currency
        and terms.eve_date = fx_rates.rate_date
)

select
    valued.subscription_id,
    valued.customer_key,
    valued.term_date,
    valued.resolved_date,
    valued.currency,
    valued.mrr,
    case when valued.goes_on then valued.term_date else renewals.renewed_date end as renewed_date,
    valued.mrr_due,
    case
        when valued.goes_on then valued.mrr_due
        else cast(least(coalesce(renewals.mrr, 0), valued.mrr_due) as decimal(38, 6))
    end as mrr_renewed
from valued
left join renewals
    on valued.subscription_id = renewals.subscription_id
    and valued.term_date = renewals.term_date
