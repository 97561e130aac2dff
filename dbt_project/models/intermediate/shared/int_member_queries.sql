{{ config(facts='all') }}
{%- set relations = '"' ~ this.database ~ '"."' ~ this.schema ~ '".' %}
{%- set rows = [] %}
{%- for family, members in member_families().items() %}
{%- for part, measures in members.parts.items() %}
{%- set query = member_query(members, part) | replace(relations, '__main__.') %}
{%- do rows.append([family, part, measures | join(' '), dbt.escape_single_quotes(query)]) %}
{%- endfor %}
{%- endfor %}
{%- for row in rows %}
select
    cast('{{ row[0] }}' as string) as family,
    cast('{{ row[1] }}' as string) as part,
    cast('{{ row[2] }}' as string) as measures,
    cast({{ dbt.string_literal(row[3]) }} as string) as query
{%- if not loop.last %}
union all
{%- endif %}
{%- else %}
select
    cast(null as string) as family,
    cast(null as string) as part,
    cast(null as string) as measures,
    cast(null as string) as query
where false
{%- endfor %}
