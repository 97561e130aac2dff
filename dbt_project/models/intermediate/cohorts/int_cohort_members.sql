{{ config(materialized='by_customer') }}
{%- do ref('stg_customers') %}{% do ref('int_identities') %}
with spans as (
    select * from {{ fact('int_active_spans') }}
),

first_days as (
    select
        'first_activity' as cohort_event,
        first_spans.basis,
        first_spans.is_only_basis,
        first_spans.customer_key,
        first_spans.start_date as cohort_date,
        first_spans.end_date as first_end_date
    from spans as first_spans
    where first_spans.span_number = 1
{%- if var('cohort_event') == 'signup' %}
    union all
    {# Members of cohorts are those who signed up, active or not; the last row in force that has the day holds. #}
    select
        'signup' as cohort_event,
        bases.basis,
        false as is_only_basis,
        signups.customer_key,
        signups.signed_up_date as cohort_date,
        cast(null as date) as first_end_date
    from (
        select
            customers.customer_key,
            customers.signed_up_date,
            row_number() over (partition by customers.customer_key order by customers.valid_from desc nulls last, customers.signed_up_date desc nulls last) as place
        from {{ ref('stg_customers') }} as customers
        left join {{ ref('int_identities') }} as identities
            on customers.customer_key = identities.alias_key
        where customers.signed_up_date is not null
            and customers.valid_from_date < {{ as_of() }}
            and identities.alias_key is null
    ) as signups
    cross join (
        select 'any' as basis
        {% if has_dataset('orders') %}union all select 'order' as basis{% endif %}
        {% if has_dataset('subscriptions') %}union all select 'subscription' as basis{% endif %}
    ) as bases
    where signups.place = 1
{%- endif %}
),

{# On the first active day a profile for life is in force; on the day of sign-up it need not be yet. #}
static_profiles as (
    select
        customer_key,
        profile_key
    from {{ fact('int_profile_spans') }}
    where rule = 'any'
),

evaluated as (
    select
        first_days.cohort_event,
        first_days.basis,
        first_days.customer_key,
        cast(sum({{ value_weight('segment_spans.dimension', 'segment_values.value_number') }}) as bigint) as profile_key
    from first_days
    left join static_profiles
        on first_days.customer_key = static_profiles.customer_key
        and first_days.cohort_event = 'first_activity'
    inner join {{ fact('int_segment_spans') }} as segment_spans
        on first_days.customer_key = segment_spans.customer_key
        and {{ is_value_of_day('segment_spans', 'first_days.cohort_date') }}
    inner join {{ ref('int_segment_values') }} as segment_values
        on segment_spans.dimension = segment_values.dimension
        and segment_spans.segment_value = segment_values.segment_value
    where static_profiles.customer_key is null
    group by
        first_days.cohort_event,
        first_days.basis,
        first_days.customer_key
)

select
    first_days.cohort_event,
    first_days.basis,
    first_days.is_only_basis,
    first_days.customer_key,
    first_days.cohort_date,
    first_days.first_end_date,
    coalesce(static_profiles.profile_key, evaluated.profile_key, 0) as profile_key
from first_days
left join static_profiles
    on first_days.customer_key = static_profiles.customer_key
    and first_days.cohort_event = 'first_activity'
left join evaluated
    on first_days.cohort_event = evaluated.cohort_event
    and first_days.basis = evaluated.basis
    and first_days.customer_key = evaluated.customer_key
