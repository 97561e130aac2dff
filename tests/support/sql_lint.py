"""The command `sqlfluff`, in a little over half of its time: `python tests/support/sql_lint.py lint …`.

A parsed file is a hundred thousand objects that live until it is linted; looking for cycles among them, again and
again, took two fifths of the time. The workers are forked, since each would otherwise import sqlfluff and dbt anew.
"""

from __future__ import annotations

import gc
import multiprocessing

from sqlfluff.cli.commands import cli
from sqlfluff.core.linter.runner import MultiProcessRunner

if __name__ == "__main__":
    gc.set_threshold(200_000, 20, 50)
    MultiProcessRunner.POOL_TYPE = multiprocessing.get_context("fork").Pool
    cli()
