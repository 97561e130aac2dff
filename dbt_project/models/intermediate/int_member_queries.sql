{{ config(facts='all') }}
{%- set relations = '"' ~ this.database ~ '"."' ~ this.schema ~ '".' %}
{%- set queries = member_queries() %}
{%- for family, query in queries.items() %}
select
    cast('{{ family }}' as string) as family,
    cast({{ dbt.string_literal(dbt.escape_single_quotes(query | replace(relations, '__main__.'))) }} as string) as query
{%- if not loop.last %}
union all
{%- endif %}
{%- else %}
select
    cast(null as string) as family,
    cast(null as string) as query
where false
{%- endfor %}
