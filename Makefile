# make run    fresh clone to figures: environment, a made-up company, its whole history, last month's KPIs
# make run ENGINE=spark   the same with a local Spark as the engine, in demo-spark (Java 17; an environment of its own; slowly)
# make check  lint, types and the unit tests (SQL is linted where it changed since it last passed, in a new clone all of it)
# make test   the same, and everything else that is deterministic
# make coverage   the same tests, and how much of the package they run: it has a floor (pyproject.toml)
# make proof-short   the random tests in their short edition (minutes), before a change of sums or nights lands
# make proof  the random tests at length, from a seed that is printed (RETENTION_SEED sets it), and those marked long (hours)
# make kills  SIGKILL at every step and at 50 random moments of nights on a million orders, at 300 of small nights (hours)
# make spark  golden stories and made-up companies on a local Spark, against DuckDB (Java 17; hours, in an environment of its own)
# make spark-short   one story, one company, kills and errors of it (minutes); what CI runs
# make bench SIZE=10m   measure the pipeline (1m, 10m or 100m orders) against two baselines
# make bench-activity SIZE=10m   the same for events, answers and e-mails (ten events per order)
# make bench-history SIZE=10m  measure nights that restate figures, and `retention explain`
# make bench-ingest SIZE=10m   measure ingestion (100k, 1m or 10m rows) against bare DuckDB and bare COPY
# make bench-shopify SIZE=10m  measure a template (100k, 1m or 10m lines) against plain mapping of the same orders
# make bench-spark SIZE=1m   DuckDB and a local Spark on the same cores: time, growth, shuffle, skew (any size; Java 17)
# make clean  remove what the other targets made (not the environment; `make distclean` removes that too)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ENGINE ?= duckdb
HOME_FOLDER ?= $(if $(filter spark,$(ENGINE)),demo-spark,demo)
DEMO_OPTIONS ?=
SIZE ?= 1m
PYTEST_WORKERS ?= 2
SPARK_VENV := .venv-spark
# A file's tests stay in one process (they share what is expensive to make); files begin in the order of tests/conftest.py.
PYTEST := $(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder
# What stands in the text of every model, and the models.
SQL_OF_ALL := .sqlfluff .sqlfluffignore pyproject.toml constraints.txt dbt_project/dbt_project.yml $(wildcard dbt_project/macros/*.sql)
SQL_OF_ONE := $(wildcard dbt_project/models/*/*.sql dbt_project/models/*/*/*.sql)

# Tests start many processes; without what Python keeps of compiled modules, each compiles dbt and Dagster anew (3 s).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run run-duckdb run-spark check test lint-and-types coverage proof proof-short lint types kills spark spark-short bench bench-activity bench-history bench-ingest \
	bench-shopify bench-spark clean distclean

help:
	@sed -n 's/^# \(make.*\)/  \1/p' Makefile

install: $(INSTALLED)

# The stamp is newer than what it was installed from, or the packages are installed again. A half-made environment
# (an interrupted first run) has no stamp and is simply completed.
$(INSTALLED): pyproject.toml constraints.txt
	@set -e; \
	if command -v uv >/dev/null 2>&1; then \
	    echo "Installing into $(VENV) with uv ..."; \
	    [ -x $(BIN)/python ] || uv venv --quiet --python '>=3.11,<3.13' $(VENV); \
	    VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv pip install --quiet --compile-bytecode -c constraints.txt -e '.[dev]'; \
	else \
	    if [ ! -x $(BIN)/pip ]; then \
	        for name in python3.11 python3.12 python3 python; do \
	            if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1; then \
	                python=$$name; break; \
	            fi; \
	        done; \
	        if [ -z "$$python" ]; then echo "Python 3.11 or 3.12 is needed and none was found on the PATH." >&2; exit 1; fi; \
	        $$python -m venv $(VENV) \
	            || { echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	    fi; \
	    echo "Installing into $(VENV) with pip (about a minute, once) ..."; \
	    $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $@

run: run-$(ENGINE)

run-duckdb: $(INSTALLED)
	@$(BIN)/retention demo --home $(HOME_FOLDER) $(DEMO_OPTIONS)

run-spark: $(SPARK_VENV)/.installed
	@$(SPARK_VENV)/bin/python -m retention_pipeline.transform.spark.local_server \
	    $(SPARK_VENV)/bin/retention demo --home $(HOME_FOLDER) --engine spark $(DEMO_OPTIONS)

check: lint-and-types
	$(PYTEST) tests/unit

test: lint-and-types
	$(PYTEST)

# Tracing costs these tests two fifths more, so it is asked for apart.
coverage: $(INSTALLED)
	$(PYTEST) --cov --cov-report=term:skip-covered

proof-short: $(INSTALLED)
	$(PYTEST) -m 'proof and not long' --ignore tests/spark

proof: $(INSTALLED)
	@seed=$${RETENTION_SEED:-$$(date +%s)}; echo "RETENTION_SEED=$$seed"; \
	RETENTION_SEED=$$seed RETENTION_KILLS_SEED=$$seed RETENTION_RANDOM_COMPANIES=200 RETENTION_RANDOM_NIGHTS=30 \
	RETENTION_RANDOM_HISTORIES=200 RETENTION_LARGE_COMPANIES=3 RETENTION_RANDOM_RUNS=5 RETENTION_MUTATED_FILES=10000 RETENTION_MIXED_KILLS=12 RETENTION_SIGNALS=12 \
	$(PYTEST) -m 'proof or long' -v

# Side by side: types are checked in one process.
lint-and-types: $(INSTALLED)
	@$(MAKE) --no-print-directory -j 2 lint types

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory build/lint/passed

build/lint/passed: $(SQL_OF_ALL) $(SQL_OF_ONE) | $(INSTALLED)
	@mkdir -p build/lint && $(BIN)/python -c "import duckdb; \
	    [duckdb.connect(f'build/lint/{name}.duckdb').close() for name in ('raw', 'previous')]"
	RETENTION_WAREHOUSE_FILE=:memory: RETENTION_RAW_FILE=$(CURDIR)/build/lint/raw.duckdb \
	RETENTION_PREVIOUS_FILE=$(CURDIR)/build/lint/previous.duckdb \
	DBT_TARGET_PATH=$(CURDIR)/build/lint/target DBT_LOG_PATH=$(CURDIR)/build/lint/logs \
	$(BIN)/python tests/support/sql_lint.py lint --disable-progress-bar --processes 2 $(if $(filter $(SQL_OF_ALL),$?),dbt_project,$?)
	@touch $@

types: $(INSTALLED)
	$(BIN)/mypy

kills: $(INSTALLED)
	RETENTION_KILLS_ORDERS=1000000 RETENTION_KILLS_PER_STEP=3 RETENTION_RANDOM_KILLS=50 RETENTION_FIRST_RUN_KILLS=5 \
	RETENTION_SECONDS_BETWEEN_LOOKS=0.25 RETENTION_MIXED_KILLS=300 RETENTION_SIGNALS=12 $(BIN)/pytest -s -m "" tests/kills

# pyspark is half a gigabyte and no dependency: it gets an environment beside the project's.
$(SPARK_VENV)/.installed: pyproject.toml constraints.txt
	@command -v java >/dev/null 2>&1 || { echo "Java 17 is needed; on Debian: apt-get install openjdk-17-jre-headless" >&2; exit 1; }
	@echo "Installing into $(SPARK_VENV) with pip (some minutes, once) ..."
	@python3.11 -m venv $(SPARK_VENV) && $(SPARK_VENV)/bin/python -m pip install -qq \
	    --disable-pip-version-check -c constraints.txt -e '.[dev]' 'pyspark[connect]'
	@touch $@

spark: $(SPARK_VENV)/.installed
	$(SPARK_VENV)/bin/pytest -n0 -m proof -v -W default tests/spark

spark-short: $(SPARK_VENV)/.installed
	$(SPARK_VENV)/bin/pytest -n0 -m proof -v -W default --durations=0 tests/spark/test_lake_on_spark.py tests/spark/test_runs_on_spark.py \
	    'tests/spark/test_homes_on_spark.py::test_spark_makes_the_tables_that_duckdb_makes[company]'

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.run --size $(SIZE)

bench-activity: $(INSTALLED)
	$(BIN)/python -m benchmarks.activity --size $(SIZE)

bench-history: $(INSTALLED)
	$(BIN)/python -m benchmarks.history --size $(SIZE)

bench-ingest: $(INSTALLED)
	$(BIN)/python -m benchmarks.ingest --size $(SIZE)

bench-spark: $(SPARK_VENV)/.installed
	$(SPARK_VENV)/bin/python -m benchmarks.spark --size $(SIZE)

bench-shopify: $(INSTALLED)
	$(BIN)/python -m benchmarks.shopify --size $(SIZE)

clean:
	rm -rf demo demo-spark $(HOME_FOLDER) bench build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis \
	    dbt_project/target dbt_project/logs
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(SPARK_VENV) *.egg-info
