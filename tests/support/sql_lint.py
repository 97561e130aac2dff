"""The command `sqlfluff`, in a little over half of its time: `python tests/support/sql_lint.py lint …`.

A parsed file is a hundred thousand objects that live until it is linted; looking for cycles among them, again and
again, took two fifths of the time. The workers are forked, since each would otherwise import sqlfluff and dbt anew.
"""

from __future__ import annotations

import multiprocessing

from sqlfluff.cli.commands import cli
from sqlfluff.core.linter.runner import MultiProcessRunner

from retention_pipeline.cycles import look_for_cycles_less_often

if __name__ == "__main__":
    look_for_cycles_less_often()
    MultiProcessRunner.POOL_TYPE = multiprocessing.get_context("fork").Pool
    cli()
