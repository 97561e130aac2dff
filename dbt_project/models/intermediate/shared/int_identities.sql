{# Cycles are refused before dbt runs. #}
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
{{ ends_of_chains() }}

select
    alias_key,
    customer_key
from round_10
