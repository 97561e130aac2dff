{# Dates: the only macros that know a time zone, a grain's name or a calendar rule. #}

{% macro local_time(instant) -%}
  {{ return(adapter.dispatch('local_time', 'retention')(instant)) }}
{%- endmacro %}

{% macro duckdb__local_time(instant) -%}
  {%- if var('timezone') == 'UTC' -%} {{ instant }}
  {%- else -%} timezone('{{ var("timezone") }}', timezone('UTC', {{ instant }}))
  {%- endif -%}
{%- endmacro %}

{% macro spark__local_time(instant) -%}
  from_utc_timestamp({{ instant }}, '{{ var("timezone") }}')
{%- endmacro %}

{# The business day of a raw instant; a bare date is a business day as it stands. #}
{% macro business_day(column) -%}
  case when {{ column }}_is_date then cast({{ column }} as date) else cast({{ local_time(column) }} as date) end
{%- endmacro %}

{# Converting an instant through the time zone costs more than all else that is done with an event, adding an offset a tenth of it. UTC days of the 40 years before
   as_of, with the seconds that local time is ahead of UTC on the whole of the day: null on a day on which that changes, which no zone does twice in a day. #}
{% macro utc_days() -%}
  select
      utc_day,
      case when ahead_at_start = ahead_at_end then {{ int_div('ahead_at_start', 1000000) }} end as seconds_ahead
  from (
      select
          utc_day,
          {{ microseconds_between('utc_day', local_time('utc_day')) }} as ahead_at_start,
          {{ microseconds_between('next_day', local_time('next_day')) }} as ahead_at_end
      from (
          select
              cast({{ add_days(as_of(), '-numbers.n') }} as timestamp) as utc_day,
              cast({{ add_days(as_of(), '1 - numbers.n') }} as timestamp) as next_day
          from {{ numbers(40 * 366) }} as numbers
      ) as days
  ) as offsets
{%- endmacro %}

{# business_day of rows that are joined with utc_days by join_utc_days, where there are many of them. #}
{% macro business_day_of_many(rows, column) -%}
  case
      when {{ rows }}.{{ column }}_is_date then cast({{ rows }}.{{ column }} as date)
      when utc_days.seconds_ahead is not null then cast({{ add_seconds(rows ~ '.' ~ column, 'utc_days.seconds_ahead') }} as date)
      else cast({{ local_time(rows ~ '.' ~ column) }} as date)
  end
{%- endmacro %}

{% macro join_utc_days(rows, column) -%}
  left join ({{ utc_days() }}) as utc_days
      on cast({{ rows }}.{{ column }} as date) = cast(utc_days.utc_day as date)
{%- endmacro %}

{% macro utc_time(local) -%}
  {{ return(adapter.dispatch('utc_time', 'retention')(local)) }}
{%- endmacro %}

{% macro duckdb__utc_time(local) -%}
  {%- if var('timezone') == 'UTC' -%} {{ local }}
  {%- else -%} timezone('UTC', timezone('{{ var("timezone") }}', {{ local }}))
  {%- endif -%}
{%- endmacro %}

{% macro spark__utc_time(local) -%}
  to_utc_timestamp({{ local }}, '{{ var("timezone") }}')
{%- endmacro %}

{# The instant (UTC) by which rows are ordered; a bare date stands at its 00:00. #}
{% macro instant(column) -%}
  case when {{ column }}_is_date then {{ utc_time(column) }} else {{ column }} end
{%- endmacro %}

{# Marked, so that a text can be turned to another as_of and no other date with it (see generations.sql). #}
{% macro as_of(day=none) -%} cast('{{ day or var("as_of") }}' /* as_of */ as date) {%- endmacro %}

{% macro first_day() -%} cast('0001-01-01' as date) {%- endmacro %}

{% macro last_day() -%} cast('9999-12-31' as date) {%- endmacro %}

{# A neighbour's day that may be absent, for comparisons: `is null or` in a condition costs DuckDB three times the comparison. #}
{% macro or_never(day) -%} coalesce({{ day }}, {{ first_day() }}) {%- endmacro %}

{% macro or_forever(day) -%} coalesce({{ day }}, {{ last_day() }}) {%- endmacro %}

{# Days before data_start do not count. #}
{% macro data_start() -%}
  {%- if var('data_start') -%} cast('{{ var("data_start") }}' as date) {%- else -%} {{ first_day() }} {%- endif -%}
{%- endmacro %}

{# The condition that a day counts; none without data_start, as a condition on a day converted from an instant converts every instant twice. #}
{% macro is_since_data_start(day) -%}
  {%- if var('data_start') -%} {{ day }} >= {{ data_start() }} {%- else -%} true {%- endif -%}
{%- endmacro %}

{# dbt's own macros go through timestamps on DuckDB, and on Spark through seconds and texts. #}
{% macro add_days(day, count) -%} {{ return(adapter.dispatch('add_days', 'retention')(day, count)) }} {%- endmacro %}

{% macro duckdb__add_days(day, count) -%} (cast({{ day }} as date) + cast({{ count }} as integer)) {%- endmacro %}

{% macro spark__add_days(day, count) -%} date_add({{ day }}, cast({{ count }} as integer)) {%- endmacro %}

{% macro add_months(day, count) -%} {{ return(adapter.dispatch('add_months', 'retention')(day, count)) }} {%- endmacro %}

{% macro duckdb__add_months(day, count) -%} cast({{ dbt.dateadd('month', count, day) }} as date) {%- endmacro %}

{% macro spark__add_months(day, count) -%} add_months({{ day }}, cast({{ count }} as integer)) {%- endmacro %}

{% macro add_seconds(instant, count) -%} {{ return(adapter.dispatch('add_seconds', 'retention')(instant, count)) }} {%- endmacro %}

{% macro duckdb__add_seconds(instant, count) -%} {{ dbt.dateadd('second', count, instant) }} {%- endmacro %}

{% macro spark__add_seconds(instant, count) -%} timestamp_micros(unix_micros({{ instant }}) + ({{ count }}) * 1000000) {%- endmacro %}

{% macro days_between(earlier, later) -%} {{ return(adapter.dispatch('days_between', 'retention')(earlier, later)) }} {%- endmacro %}

{% macro duckdb__days_between(earlier, later) -%} (cast({{ later }} as date) - cast({{ earlier }} as date)) {%- endmacro %}

{% macro spark__days_between(earlier, later) -%} datediff({{ later }}, {{ earlier }}) {%- endmacro %}

{# From one instant to another; null where one of them is. #}
{% macro microseconds_between(earlier, later) -%}
  {{ return(adapter.dispatch('microseconds_between', 'retention')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__microseconds_between(earlier, later) -%} epoch_us({{ later }}) - epoch_us({{ earlier }}) {%- endmacro %}

{% macro spark__microseconds_between(earlier, later) -%} unix_micros({{ later }}) - unix_micros({{ earlier }}) {%- endmacro %}

{% macro months_between(earlier, later) -%}
  cast((extract(year from {{ later }}) - extract(year from {{ earlier }})) * 12
    + extract(month from {{ later }}) - extract(month from {{ earlier }}) as integer)
{%- endmacro %}

{% macro truncated(unit, day) -%}
  cast({{ dbt.date_trunc(unit, day) }} as date)
{%- endmacro %}

{# First day of the period of a grain that holds a day. #}
{% macro period_start(grain, day) -%}
  {%- set weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] -%}
  {%- set week_offset = weekdays.index(var('week_start')) -%}
  {%- set month_offset = var('fiscal_year_start') - 1 -%}
  {%- if grain == 'week' -%}
    {{ add_days(truncated('week', add_days(day, -week_offset)), week_offset) }}
  {%- elif grain == 'month' -%}
    {{ truncated('month', day) }}
  {%- else -%}
    {{ add_months(truncated(grain, add_months(truncated('month', day), -month_offset)), month_offset) }}
  {%- endif -%}
{%- endmacro %}

{% macro period_end(grain, start) -%}
  {%- if grain == 'week' -%} {{ add_days(start, 7) }}
  {%- else -%} {{ add_months(start, {'month': 1, 'quarter': 3, 'year': 12}[grain]) }}
  {%- endif -%}
{%- endmacro %}

{# Whole numbers 0 … count - 1 as column n: the one spine of the project. #}
{% macro numbers(count) -%}
  (select cast(n as integer) as n from range(0, {{ count }}) as numbers(n))
{%- endmacro %}

{# The rows of a query, each as often as numbers from 0 to its expression `last` (a column n). Spark compares each row with each number, so it looks for the blocks of numbers first. #}
{% macro each_number(relation, last) -%} {{ return(adapter.dispatch('each_number', 'retention')(relation, last)) }} {%- endmacro %}

{% macro duckdb__each_number(relation, last) -%}
  select
      {{ relation }}.*,
      numbers.n
  from {{ relation }}
  inner join {{ numbers(calendar_days()) }} as numbers
      on numbers.n <= {{ last }}
{%- endmacro %}

{% macro spark__each_number(relation, last) -%}
  select
      {{ relation }}.*,
      blocks.n * 256 + numbers.n as n
  from {{ relation }}
  inner join {{ numbers(calendar_days() // 256 + 1) }} as blocks
      on blocks.n * 256 <= {{ last }}
  inner join {{ numbers(256) }} as numbers
      on blocks.n * 256 + numbers.n <= {{ last }}
{%- endmacro %}

{# The first day of int_calendar. Instants of the years 1900 to 2200 are taken; the first of them lies on this business day west of Greenwich. #}
{% macro calendar_begins() -%} {{ return(modules.datetime.date(1899, 12, 31)) }} {%- endmacro %}

{% macro first_calendar_day() -%} cast('{{ calendar_begins() }}' as date) {%- endmacro %}

{# Days from first_calendar_day to the eve of as_of. #}
{% macro calendar_days() -%}
  {%- set to_day = modules.datetime.date.fromisoformat(var('as_of')) -%}
  {{ return((to_day - calendar_begins()).days) }}
{%- endmacro %}

{# One row per day of int_calendar with the start and the close of its period in every grain: week_start, week_close, month_start, … Days that share all their
   periods are a slice, named by its first day: quarters and years are made of months. #}
{% macro calendar_of_days() -%}
  select
      calendar_date,
      greatest(
          max(case when grain = 'week' then period_start end),
          max(case when grain = 'month' then period_start end),
          {{ first_calendar_day() }}
      ) as slice_start
{%- for grain in grains() %},
      max(case when grain = '{{ grain }}' then period_start end) as {{ grain }}_start,
      max(case when grain = '{{ grain }}' then close_date end) as {{ grain }}_close
{%- endfor %}
  from {{ ref('int_calendar') }}
  group by calendar_date
{%- endmacro %}

{# What a row of a period is known by: the period's start, in texts of all grains (members) with the grain. #}
{% macro period_of(rows=none) -%}
  {%- set of = rows ~ '.' if rows else '' -%}
  {%- if config.get('facts') == 'all' -%} {{ of }}grain, {{ of }}period_start {%- else -%} {{ of }}period_start {%- endif -%}
{%- endmacro %}

{# int_calendar, or some of its days, with the start of the period before. #}
{% macro calendar_with_previous(days=none) -%}
  select
      *,
      case grain
{%- for grain in grains() %}
          when '{{ grain }}' then {{ period_start(grain, add_days('period_start', -1)) }}
{%- endfor %}
      end as previous_start
  from {{ days or ref('int_calendar') }}
{%- endmacro %}

{# calendar_of_days with the starts of the periods before: week_previous, month_previous, … #}
{% macro calendar_of_days_with_previous() -%}
  select
      *,
{%- for grain in grains() %}
      {{ period_start(grain, add_days(grain ~ '_start', -1)) }} as {{ grain }}_previous{{ ',' if not loop.last }}
{%- endfor %}
  from ({{ calendar_of_days() }}) as days
{%- endmacro %}

{# The day on which something of `day` reaches the look-back of 12 months: state at B - 12 months changes for boundaries B after it. #}
{% macro twelve_months_after(day) -%}
  greatest({{ add_months(day, 12) }}, {{ add_days(add_months(add_days(day, 1), 12), -1) }})
{%- endmacro %}
