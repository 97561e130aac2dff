with fx_rates as (
    select * from {{ ref('stg_fx_rates') }}
),

intervals as (
    select
        currency,
        rate_date,
        rate_to_reporting,
        lead(rate_date) over (partition by currency order by rate_date nulls last) as next_rate_date
    from fx_rates
    where currency <> '{{ var("reporting_currency") }}'
)

select
    intervals.currency,
    {{ add_days('intervals.rate_date', 'numbers.n') }} as rate_date,
    intervals.rate_to_reporting as rate
from intervals
inner join {{ numbers(var('fx_max_age_days') + 1) }} as numbers
    on intervals.next_rate_date is null
    or numbers.n < {{ days_between('intervals.rate_date', 'intervals.next_rate_date') }}
