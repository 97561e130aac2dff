"""Wall seconds, processor seconds and peak memory of a piece of work, each in a process of its own."""

import importlib
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from retention_pipeline.cycles import look_for_cycles_less_often


@dataclass
class Measured:
    """One step. cpu: user and system seconds of the process and its children; peak_mb: of resident memory."""

    step: str
    wall: float
    cpu: float
    peak_mb: int
    result: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _work(connection: Any, module: str, function: str, arguments: tuple[Any, ...]) -> None:
    # A spawned process has no main file; if DuckDB is imported then, it thinks of a notebook and draws progress bars.
    sys.modules["__main__"].__file__ = __file__
    look_for_cycles_less_often()  # as the command does
    start, before = time.perf_counter(), _cpu_seconds()
    try:
        result = getattr(importlib.import_module(module), function)(*arguments)
    except BaseException as error:
        connection.send(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    connection.send((time.perf_counter() - start, _cpu_seconds() - before, peak, result))


def measured(step: str, function: Callable[..., dict[str, Any]], *arguments: Any) -> Measured:
    """Run function(*arguments) in a fresh process; its result must be a small picklable dict. Raises what it raised.

    The process ends with the wait for it (Ctrl-C, SIGTERM where that raises).
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, function.__module__, function.__name__, arguments))
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        raise MemoryError(
            f"{step}: the process ended with code {process.exitcode} (killed for want of memory?)"
        ) from None
    except BaseException:
        process.terminate()
        process.join()
        raise
    process.join()
    if isinstance(answer, Exception):
        raise answer
    wall, cpu, peak, result = answer
    return Measured(step, wall, cpu, peak, result)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": model, "cores": os.cpu_count(), "memory_gib": round(memory, 1), "load": os.getloadavg()[0]}
