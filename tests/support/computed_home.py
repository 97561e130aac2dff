"""A home's figures in this process: the real ingest, the compiled models, the real KPI code, contract and audit.

For tests of figures. What the whole product does beside (dbt's runner, generations, records, Dagster) has tests of its
own; here it would only be waited for.
"""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path

import duckdb
from nights.compiled_models import CompiledModels, compiled
from nights.warehouse_in_memory import Warehouse

from retention_pipeline.audit import AuditError, audit
from retention_pipeline.ingest import ingest
from retention_pipeline.kpis import compute_kpis, validate_kpis
from retention_pipeline.publish.customers_in_period import write_customers_in_period
from retention_pipeline.settings import Home, load_settings
from retention_pipeline.transform.delivered_segments import with_delivered_segments
from retention_pipeline.transform.input_checks import check_aliases, check_rates
from retention_pipeline.warehouse import attach


def compute_home(root: Path, as_of: date, *, may_refuse_rows: bool = False) -> Path:
    """The file with the home's tables as of a day, as a full refresh makes them; `current.duckdb` points to it.

    Every delivered row must be good unless `may_refuse_rows`; every rule of the audit and of the KPI rows must hold.
    """
    home = Home(root)
    settings = load_settings(home)
    now = datetime.combine(as_of, time(2))
    result = ingest(home, settings, now=now)
    assert not result.refused
    assert may_refuse_rows or not any(load.bad for load in result.loads), [load for load in result.loads if load.bad]
    settings = with_delivered_segments(home, settings)
    check_aliases(home, timezone=settings.business.timezone, as_of=as_of)
    models = compiled(settings, root / "compiled", night=False)
    home.published.mkdir(exist_ok=True)
    file = home.published / "computed.duckdb"
    connection = duckdb.connect()
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 1")
        attach(connection, home.raw_file, "raw_store")
        Warehouse(connection, CompiledModels(models, [])).full_refresh(as_of)
        compute_kpis(
            connection,
            settings,
            as_of=as_of,
            run_id="computed",
            computed_at=now,
            connected_datasets=settings.connected_datasets,
        )
        write_customers_in_period(connection)
        violations = [*audit(connection, settings).violations, *validate_kpis(connection, settings)]
        if violations:
            raise AuditError(violations)
        connection.execute(f"attach '{file}' as computed")
        connection.execute("copy from database next to computed")
    finally:
        connection.close()
    check_rates(file, as_of=as_of, reporting_currency=settings.business.reporting_currency)
    home.current.symlink_to(file.name)
    return file
