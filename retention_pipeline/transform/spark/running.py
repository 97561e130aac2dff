"""Models one after the other on Spark, as many at a time as it is worth; each after those that it reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from graphlib import TopologicalSorter
from typing import Any

from retention_pipeline.testing import stop_for_test
from retention_pipeline.transform.build import NodeResult
from retention_pipeline.transform.spark.session import said
from retention_pipeline.transform.spark.statements import Model, Statements

AT_A_TIME = 2  # planning, most of the work on small tables, is done by one thread of the server per query


def run_models(
    session: Any,
    models: Sequence[Model],
    statements: Callable[[Model], Statements],
    say: Callable[[str], None],
) -> list[NodeResult]:
    """Make the tables of models; results in order of completion, those after a failure 'skipped'. say: gets the name
    of each that is done.
    """
    by_id = {model.unique_id: model for model in models}
    order = TopologicalSorter({model.unique_id: [one for one in model.reads if one in by_id] for model in models})
    order.prepare()
    results: list[NodeResult] = []
    running: dict[Future[NodeResult], str] = {}
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="spark") as pool:
        try:
            while order.is_active():
                for ready in order.get_ready():
                    running[pool.submit(_made, session, by_id[ready], statements)] = ready
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    results.append(result)
                    if result.status == "error":
                        raise _Failed
                    say(result.name)
                    stop_for_test("spark_model")
                    order.done(running.pop(future))
        except _Failed:
            _stop(session, pool)
        except BaseException:  # a signal
            _stop(session, pool)
            raise
    known = {result.unique_id for result in results}
    late = [future.result() for future in running if future.done() and not future.cancelled()]
    results += [result for result in late if result.unique_id not in known and result.status == "success"]
    known |= {result.unique_id for result in results}
    return results + [_result(model, "skipped", 0.0) for model in models if model.unique_id not in known]


class _Failed(Exception):
    """A model failed; the others are not begun."""


def _made(session: Any, model: Model, statements: Callable[[Model], Statements]) -> NodeResult:
    started = time.perf_counter()
    parts = statements(model)
    session.addTag(model.name)  # of this thread; Spark's own pages and logs then say whose a stage is
    try:
        for statement in parts.making:
            session.sql(statement)
    except Exception as error:
        return _result(model, "error", time.perf_counter() - started, said(error))
    finally:
        with suppress(Exception):  # the next run removes what is left
            for statement in parts.dropping:
                session.sql(statement)
        session.removeTag(model.name)
    return _result(model, "success", time.perf_counter() - started)


def _stop(session: Any, pool: ThreadPoolExecutor) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    with suppress(Exception):
        session.interruptAll()


def _result(model: Model, status: str, seconds: float, message: str | None = None) -> NodeResult:
    return NodeResult(model.unique_id, model.name, "model", status, seconds, message)
