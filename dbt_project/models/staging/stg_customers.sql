{#- Rows of a source without the column valid_from tell the present: they replace each other in raw, and the versions that were replaced say what was true before (docs/sources.md).
    Everything here follows from raw alone, so that a night and a full refresh see the same. -#}
{%- set attributes = ['country', 'acquisition_channel'] + extra_dimensions() -%}
{%- set columns = '_customer_key, signed_up_at, signed_up_at_is_date, country, acquisition_channel, referred_by, _extra, _load_id, _loaded_at' -%}
with customers as (
    select * from {{ source('raw', 'customers') }}
    where {{ of_touched_customers('_customer_key') }}
),

{# Without those that another row of the same load replaced: they never were in force. #}
replaced as (
    select * from {{ source('raw', 'customers_history') }}
    where valid_from is null
        and _superseded_by <> _load_id
        and {{ of_touched_customers('_customer_key') }}
),

{# Files whose source got other settings were read again: the same bytes under another fingerprint of settings (mapping). #}
read_by as (
    select
        load_id,
        source,
        sha256,
        finished_at,
        mapping,
        lag(mapping) over (partition by source, sha256 order by load_id nulls last) as mapping_before,
        lead(mapping) over (partition by source, sha256 order by load_id nulls last) as mapping_after,
        {{ json_text('drift', 'given') }} like '%valid_from%' as gives_days
    from {{ source('raw', 'ledger') }}
    where dataset = 'customers'
        and status = 'loaded'
),

{# What is read again was known when it was first read, and has its place among other loads. #}
loads as (
    select
        load_id,
        max(case when mapping_before is null or mapping_before = mapping then load_id end) over (
            partition by source, sha256 order by load_id nulls last rows unbounded preceding
        ) as first_load_id,
        max(case when mapping_before is null or mapping_before = mapping then finished_at end) over (
            partition by source, sha256 order by load_id nulls last rows unbounded preceding
        ) as known_at,
        case when mapping_after <> mapping then max(load_id) over (partition by source, sha256) end as read_again_by,
        gives_days
    from read_by
),

{# Rows that hold as they stand: dated ones, and those that never changed. #}
single as (
    select
        _customer_key as customer_key,
        case when valid_from is null then {{ first_day() }} else {{ business_day('valid_from') }} end as valid_from_date,
        case when valid_from is null then cast('0001-01-01' as timestamp) else {{ instant('valid_from') }} end as valid_from,
        case when signed_up_at is not null then {{ business_day('signed_up_at') }} end as signed_up_date,
        referred_by,
        case
            when nullif(referred_by, '') is null then null
            when valid_from is null then {{ first_day() }}
            else {{ business_day('valid_from') }}
        end as referral_known_date,
{%- for attribute in attributes %}
        {{ attribute if loop.index <= 2 else json_text('_extra', attribute) }} as {{ attribute }},
{%- endfor %}
        _load_id as load_id
    from customers
    where valid_from is not null
        or _customer_key not in (select _customer_key from replaced)
),

current_versions as (
    select * from {{ source('raw', 'customers') }}
    where valid_from is null
        and _customer_key in (select _customer_key from replaced)
),

{# A row that its source has taken back takes its versions along. #}
delivered as (
    select {{ columns }}, true as is_current, false as came_late from current_versions
    union all
    select {{ columns }}, false as is_current, _superseded_by < _load_id as came_late from replaced
    where _customer_key in (select _customer_key from current_versions)
),

versions as (
    select
        delivered._customer_key as customer_key,
        cast({{ local_time('coalesce(loads.known_at, delivered._loaded_at)') }} as date) as known_date,
        coalesce(loads.first_load_id, delivered._load_id) as first_load_id,
        loads.read_again_by,
        delivered.came_late,
        coalesce(loads.gives_days, false) as gives_days,
        case when signed_up_at is not null then {{ business_day('signed_up_at') }} end as signed_up_date,
        delivered.referred_by,
        case when delivered.is_current and nullif(delivered.referred_by, '') is not null then {{ first_day() }} end as referral_known_date,
{%- for attribute in attributes %}
        {{ 'delivered.' ~ attribute if loop.index <= 2 else json_text('delivered._extra', attribute) }} as {{ attribute }},
{%- endfor %}
        delivered._load_id as load_id
    from delivered
    left join loads
        on delivered._load_id = loads.load_id
),

judged as (
    select
        customer_key,
        known_date,
        load_id,
        first_load_id,
        min(known_date) over (
            partition by customer_key order by first_load_id desc nulls last, load_id desc nulls last rows between unbounded preceding and 1 preceding
        ) as later_known_date,
        max(case when gives_days then first_load_id end) over (partition by customer_key) as last_dated_load_id
    from versions
),

{# What is read again stands in its own day's place. Where that gave what was current, raw has no version of it: then what was current at that load shows, which no version was that came too late. #}
contents as (
    select
        versions.customer_key,
        versions.load_id,
        max(candidates.load_id) as content_load_id
    from versions
    inner join versions as candidates
        on versions.customer_key = candidates.customer_key
        and candidates.load_id <= coalesce(versions.read_again_by, versions.load_id)
        and (not candidates.came_late or candidates.load_id = coalesce(versions.read_again_by, versions.load_id))
    group by
        versions.customer_key,
        versions.load_id
),

{# Of a day the last version stands. A row whose source has valid_from, empty, says "from the beginning": nothing before it stands. #}
standing as (
    select
        judged.customer_key,
        judged.known_date,
        contents.content_load_id,
        row_number() over (partition by judged.customer_key order by judged.known_date nulls last) as place
    from judged
    inner join contents
        on judged.customer_key = contents.customer_key
        and judged.load_id = contents.load_id
    where (later_known_date is null or later_known_date > known_date)
        and (last_dated_load_id is null or judged.first_load_id >= last_dated_load_id)
),

{# The first value of an attribute holds from the beginning, also one that came later. The instant lies a second before the day, so that a row that its source dates for that day wins. #}
replacing as (
    select
        standing.customer_key,
        case when standing.place = 1 then {{ first_day() }} else standing.known_date end as valid_from_date,
        case
            when standing.place = 1 then cast('0001-01-01' as timestamp)
            else {{ add_seconds(utc_time('cast(standing.known_date as timestamp)'), -1) }}
        end as valid_from,
        versions.signed_up_date,
        versions.referred_by,
        versions.referral_known_date,
{%- for attribute in attributes %}
        case
            when standing.place = 1 then first_value(versions.{{ attribute }}) over (
                partition by standing.customer_key
                order by case when versions.{{ attribute }} is null then 1 else 0 end nulls last, standing.place nulls last
            )
            else versions.{{ attribute }}
        end as {{ attribute }},
{%- endfor %}
        versions.load_id
    from standing
    inner join versions
        on standing.customer_key = versions.customer_key
        and standing.content_load_id = versions.load_id
)

select
    customer_key,
    valid_from_date,
    valid_from,
    signed_up_date,
    referred_by,
    referral_known_date,
{%- for attribute in attributes %}
    {{ attribute }},
{%- endfor %}
    load_id
from single
union all
select
    customer_key,
    valid_from_date,
    valid_from,
    signed_up_date,
    referred_by,
    referral_known_date,
{%- for attribute in attributes %}
    {{ attribute }},
{%- endfor %}
    load_id
from replacing
