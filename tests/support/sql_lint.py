"""The command `sqlfluff`, in half of its time: `python tests/support/sql_lint.py lint …`.

A parsed file is a hundred thousand objects that live until it is linted; looking for cycles among them, again and
again, took half of the time. Without that nothing is given back: a worker has 1.5 GB in the end. The workers are
forked, since each would otherwise import sqlfluff and dbt anew.
"""

from __future__ import annotations

import gc
import multiprocessing

from sqlfluff.cli.commands import cli
from sqlfluff.core.linter.runner import MultiProcessRunner

if __name__ == "__main__":
    gc.disable()
    MultiProcessRunner.POOL_TYPE = multiprocessing.get_context("fork").Pool
    cli()
