with last_days as (
    {{ last_purchase_days(profile_month()) }}
),

reckoned as (
    select
        {{ days_between('last_date', profile_month()) }} as recency_days,
        purchase_days,
        net_revenue
    from last_days
),

counted as (
{%- for measure in rfm_measures() %}
    select
        '{{ measure }}' as measure,
        cast({{ measure }} as decimal(38, 2)) as measured,
        count(*) as customers
    from reckoned
    group by cast({{ measure }} as decimal(38, 2))
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
),

in_order as (
    select
        measure,
        measured,
        sum(customers) over (partition by measure order by measured nulls last rows unbounded preceding) as customers_to_here,
        sum(customers) over (partition by measure) as all_customers
    from counted
)

{# The smallest value up to which there are at least so many fifths of the customers. #}
select
    cast(in_order.measure as string) as measure,
    cast((numbers.n + 1) * 0.2 as decimal(2, 1)) as quantile,
    min(in_order.measured) as value
from in_order
inner join {{ numbers(4) }} as numbers
    on 5 * in_order.customers_to_here >= (numbers.n + 1) * in_order.all_customers
group by
    in_order.measure,
    numbers.n
