"""The models on Apache Spark in the place of DuckDB, always by full refresh: raw is handed over as Parquet, dbt
compiles the models for Spark, Spark makes their tables in a schema of the generation, and they come back into
`next.duckdb`.

What a run does before and after (figures, audit, history, report, publishing) knows of no engine. Nothing here is
imported unless the settings say `engine: spark`; pyspark is asked for when it is needed.
"""
