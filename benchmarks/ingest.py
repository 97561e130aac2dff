"""The benchmark of ingestion: each kind of source beside bare DuckDB and bare COPY on the same data, alternating.

    make bench-ingest SIZE=10m     or: python -m benchmarks.ingest --size 10m [--rounds 2] [--only csv parquet night]

Of several rounds that with the least CPU time counts, for other work on the machine only ever adds. Results are printed
and kept as JSON in <folder>/ingest-<size>.json; docs/performance.md quotes them.
"""

if __name__ == "__main__":  # imported here: the measured processes import this file too, and DuckDB has to come later
    from benchmarks.ingest_rounds import main

    main()
