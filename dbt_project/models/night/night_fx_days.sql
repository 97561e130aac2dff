{%- do ref('int_fx_rates') %}
{%- if not var('night') %}
select
    cast(null as string) as currency,
    cast(null as date) as rate_date
where false
{%- else %}
select
    coalesce(tonight.currency, before.currency) as currency,
    coalesce(tonight.rate_date, before.rate_date) as rate_date
from {{ ref('int_fx_rates') }} as tonight
full outer join {{ previous('int_fx_rates') }} as before
    on tonight.currency = before.currency
    and tonight.rate_date = before.rate_date
where tonight.rate is null
    or before.rate is null
    or tonight.rate <> before.rate
{%- endif %}
