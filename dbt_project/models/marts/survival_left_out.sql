with members as (
    select * from {{ ref('int_cohort_members') }}
    where cohort_event = 'first_activity'
        and cohort_date < {{ as_of() }}
),

members_of_bases as (
    {{ and_any('members', ['profile_key', 'cohort_date']) }}
),

profile_values as (
    select * from {{ ref('int_profile_values') }}
),

left_out as (
    select
        basis,
        profile_key,
        cast(count(*) as bigint) as customers
    from members_of_bases
    where not {{ life_is_whole('basis', 'cohort_date') }}
    group by
        basis,
        profile_key
),

by_segment as (
    {{ by_segment('left_out', ['basis'], ['customers']) }}
)

select
    basis,
    segment_dimension,
    segment_value,
    customers
from by_segment
