{{ config(materialized='view') }}
with movements as (
    select * from {{ ref('int_mrr_movements') }}
)

select
    customer_key,
    movement_date,
    movement,
    amount
from movements
