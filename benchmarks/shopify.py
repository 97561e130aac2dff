"""The benchmark of a template: an export of Shopify, several lines an order, beside plain mapping of the same orders.

    make bench-shopify SIZE=10m     or: python -m benchmarks.shopify --size 10m [--rounds 1] [--only export orders]

Of several rounds that with the least CPU time counts. Results are kept as JSON in <folder>/shopify-<size>.json.
"""

if __name__ == "__main__":  # imported here: the measured processes import this file too, and DuckDB has to come later
    from benchmarks.shopify_rounds import main

    main()
