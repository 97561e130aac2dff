{{ config(materialized='ephemeral') }}
with acquisition_costs as (
    select * from {{ ref('stg_acquisition_costs') }}
),

fx_rates as (
    select * from {{ ref('int_fx_rates') }}
),

segment_values as (
    select * from {{ ref('int_segment_values') }}
    where dimension = 'acquisition_channel'
)

{# A channel that customers have is called as theirs; the rare ones are (other). #}
select
    acquisition_costs.cost_month,
    coalesce(segment_values.shown_value, acquisition_costs.acquisition_channel, '(unknown)') as acquisition_channel,
    {{ order_money_to_reporting('acquisition_costs.amount', 'acquisition_costs.currency', 'fx_rates.rate') }} as cost
from acquisition_costs
left join fx_rates
    on acquisition_costs.currency = fx_rates.currency
    and acquisition_costs.cost_month = fx_rates.rate_date
left join segment_values
    on acquisition_costs.acquisition_channel = segment_values.segment_value
where acquisition_costs.cost_month < {{ as_of() }}
    and acquisition_costs.cost_month >= {{ truncated('month', data_start()) }}
