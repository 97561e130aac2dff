{# Pointer doubling: after k rounds a chain of 2^k aliases is resolved. Cycles are refused before dbt runs. #}
with aliases as (
    select * from {{ ref('stg_customer_aliases') }}
),

round_0 as (
    select
        alias_key,
        customer_key
    from aliases
    where valid_from_date < {{ as_of() }} and alias_key <> customer_key
),
{% for round in range(1, 11) %}
round_{{ round }} as (
    select
        direct.alias_key,
        coalesce(onward.customer_key, direct.customer_key) as customer_key
    from round_{{ round - 1 }} as direct
    left join round_{{ round - 1 }} as onward
        on direct.customer_key = onward.alias_key
){% if not loop.last %},{% endif %}
{% endfor %}

select
    alias_key,
    customer_key
from round_10
