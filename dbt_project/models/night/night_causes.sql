{#- Versions of rows that came since the previous generation, and those that they replaced. Subscriptions touch every customer of the same subscription: phases bound each other; orders those of their refunds and of what they refund; payments every customer of the same invoice. -#}
{%- set datasets = {'orders': 'order_id', 'subscriptions': "concat(subscription_id, ' ', cast(started_at as string))", 'customers': "coalesce(cast(valid_from as string), '')",
    'customer_aliases': 'alias_id'} %}
{#- Further datasets: those that are not connected touch nobody. -#}
{%- set further = {'events': "''", 'payments': 'payment_id', 'surveys': 'response_id', 'tickets': 'ticket_id', 'emails': "''"} %}
{%- for dataset in further %}{% do source('raw', dataset) %}{% do source('raw', dataset ~ '_history') %}{% endfor %}
{%- for dataset, row_key in further.items() if has_dataset(dataset) %}{% do datasets.update({dataset: row_key}) %}{% endfor %}
{%- for dataset in datasets %}{% do source('raw', dataset) %}{% do source('raw', dataset ~ '_history') %}{% endfor %}
{#- Datasets of many small rows, of which nobody asks for each: one row per customer, without a key. -#}
{%- set streams = ['events', 'emails'] %}
{%- do ref('int_identities') %}{% do source('raw', 'ledger') %}
{%- if not var('night') %}
select
    cast(null as bigint) as customer_key,
    cast(null as string) as dataset,
    cast(null as string) as row_key,
    cast(null as bigint) as load_id,
    cast(null as string) as cause
where false
{%- else %}
with changed_rows as (
{%- for dataset, row_key in datasets.items() %}
    select
        coalesce(_customer_key, 0) as raw_key,
        '{{ dataset }}' as dataset,
        {{ row_key }} as row_key,
        {{ 'max(_load_id)' if dataset in streams else '_load_id' }} as load_id,
        true as is_current
    from {{ source('raw', dataset) }}
    where _load_id > {{ var('applied_load_id') }}
    {%- if dataset in streams %}
    group by coalesce(_customer_key, 0)
    {%- endif %}
    union all
    select
        coalesce(_customer_key, 0) as raw_key,
        '{{ dataset }}' as dataset,
        {{ row_key }} as row_key,
        {{ 'max(_superseded_by)' if dataset in streams else '_superseded_by' }} as load_id,
        false as is_current
    from {{ source('raw', dataset ~ '_history') }}
    where _superseded_by > {{ var('applied_load_id') }}
        and _load_id <= {{ var('applied_load_id') }}
    {%- if dataset in streams %}
    group by coalesce(_customer_key, 0)
    {%- endif %}
    union all
{%- endfor %}
    {# Attributes also follow from replaced versions; read again by other settings, these may tell otherwise although no row changed. #}
    select
        coalesce(versions._customer_key, 0) as raw_key,
        'customers' as dataset,
        '' as row_key,
        again.load_id,
        false as is_current
    from {{ source('raw', 'customers_history') }} as versions
    inner join {{ source('raw', 'ledger') }} as former
        on versions._load_id = former.load_id
        and former.dataset = 'customers'
    inner join {{ source('raw', 'ledger') }} as again
        on former.source = again.source
        and former.sha256 = again.sha256
        and former.load_id <= again.load_id
    where again.dataset = 'customers'
        and again.load_id > {{ var('applied_load_id') }}
        and (former.load_id < again.load_id or versions._superseded_by < versions._load_id)
    union all
    select
        _alias_key as raw_key,
        'customer_aliases' as dataset,
        alias_id as row_key,
        _load_id as load_id,
        true as is_current
    from {{ source('raw', 'customer_aliases') }}
    where _load_id > {{ var('applied_load_id') }}
),

changed_orders as (
    select order_id, refund_of, max(load_id) as load_id
    from (
        select order_id, refund_of, _load_id as load_id from {{ source('raw', 'orders') }} where _load_id > {{ var('applied_load_id') }}
        union all
        select order_id, refund_of, _superseded_by as load_id from {{ source('raw', 'orders_history') }} where _superseded_by > {{ var('applied_load_id') }}
    ) as versions
    group by order_id, refund_of
),

changed_subscriptions as (
    select subscription_id, max(load_id) as load_id
    from (
        select subscription_id, _load_id as load_id from {{ source('raw', 'subscriptions') }} where _load_id > {{ var('applied_load_id') }}
        union all
        select subscription_id, _superseded_by as load_id from {{ source('raw', 'subscriptions_history') }} where _superseded_by > {{ var('applied_load_id') }}
    ) as versions
    group by subscription_id
),

{%- if has_dataset('payments') %}

{# An invoice is that of its first attempt: each version that comes or goes may make it another customer's. #}
changed_invoices as (
    select invoice_id, max(load_id) as load_id
    from (
        select invoice_id, _load_id as load_id from {{ source('raw', 'payments') }} where _load_id > {{ var('applied_load_id') }}
        union all
        select invoice_id, _superseded_by as load_id from {{ source('raw', 'payments_history') }} where _superseded_by > {{ var('applied_load_id') }}
    ) as versions
    where invoice_id is not null
    group by invoice_id
),
{%- endif %}

rows_touched as (
    select * from changed_rows
    union all
    select distinct
        subscriptions._customer_key as raw_key,
        'subscriptions' as dataset,
        subscriptions.subscription_id as row_key,
        changed_subscriptions.load_id,
        true as is_current
    from {{ source('raw', 'subscriptions') }} as subscriptions
    inner join changed_subscriptions
        on subscriptions.subscription_id = changed_subscriptions.subscription_id
    where subscriptions._load_id <= {{ var('applied_load_id') }}
    union all
    {# What a refund says is the order's, and where there is no such order the refund is an order by itself. #}
    select distinct
        coalesce(orders._customer_key, 0) as raw_key,
        'orders' as dataset,
        orders.order_id as row_key,
        changed_orders.load_id,
        true as is_current
    from {{ source('raw', 'orders') }} as orders
    inner join changed_orders
        on orders.order_id = changed_orders.refund_of
    where changed_orders.refund_of is not null
    union all
    select distinct
        coalesce(orders._customer_key, 0) as raw_key,
        'orders' as dataset,
        orders.order_id as row_key,
        changed_orders.load_id,
        true as is_current
    from {{ source('raw', 'orders') }} as orders
    inner join changed_orders
        on orders.refund_of = changed_orders.order_id
    where orders.refund_of is not null
{%- if has_dataset('payments') %}
    union all
    select distinct
        coalesce(payments._customer_key, 0) as raw_key,
        'payments' as dataset,
        payments.payment_id as row_key,
        changed_invoices.load_id,
        true as is_current
    from {{ source('raw', 'payments') }} as payments
    inner join changed_invoices
        on payments.invoice_id = changed_invoices.invoice_id
    where payments._load_id <= {{ var('applied_load_id') }}
{%- endif %}
),

{# The owner now and, where it was another, the owner before. #}
owned as (
    select coalesce(identities.customer_key, rows_touched.raw_key) as customer_key, rows_touched.*
    from rows_touched
    left join {{ ref('int_identities') }} as identities
        on rows_touched.raw_key = identities.alias_key
    union all
    select coalesce(identities_before.customer_key, rows_touched.raw_key) as customer_key, rows_touched.*
    from rows_touched
    left join {{ previous('int_identities') }} as identities_before
        on rows_touched.raw_key = identities_before.alias_key
    left join {{ ref('int_identities') }} as identities
        on rows_touched.raw_key = identities.alias_key
    where coalesce(identities_before.customer_key, rows_touched.raw_key) <> coalesce(identities.customer_key, rows_touched.raw_key)
)

select
    customer_key,
    dataset,
    row_key,
    max(load_id) as load_id,
    case
        when dataset = 'customer_aliases' then 'merge'
        when dataset = 'customers' then 'attribute'
        when min(case when is_current then 1 else 0 end) = 1 then 'late'
        when max(case when is_current then 1 else 0 end) = 1 then 'corrected'
        else 'deleted'
    end as cause
from owned
group by
    customer_key,
    dataset,
    row_key
{%- endif %}
