{# Stands where a `where` could, at the end of a query that others name several times. Spark puts the query in the place of each name, so that one that is named in
   one that is named … becomes thousands; a query that it takes for random is computed once. DuckDB does so anyway. #}
{% macro computed_once() -%} {{ return(adapter.dispatch('computed_once', 'retention')()) }} {%- endmacro %}

{% macro duckdb__computed_once() -%}{%- endmacro %}

{% macro spark__computed_once() %}
    where rand() >= 0
{%- endmacro %}
