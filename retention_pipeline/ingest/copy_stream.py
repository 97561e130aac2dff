"""The stream of a COPY … TO STDOUT, taken from libpq row by row, which is how a server sends it.

psycopg's own loop costs four times as much for each row; with ten million of them that is most of what reading costs
here. The waiting is ours too, so that a signal is noticed while the server is silent.
"""

from __future__ import annotations

import select

import psycopg
from psycopg import pq

from retention_pipeline.ingest.archive import Keeper
from retention_pipeline.ingest.lines import BLOCK

NOTHING_YET = 0


def copy_out(connection: psycopg.Connection, statement: bytes, keeper: Keeper) -> int:
    """Feed what a COPY statement sends to `keeper`; the result is the number of rows by the server's own count.

    Must be called within a transaction. Raises psycopg.Error; the connection then is of no further use.
    """
    server = connection.pgconn
    begun = server.exec_(statement)
    if begun.status != pq.ExecStatus.COPY_OUT:
        raise psycopg.errors.error_from_result(begun, encoding=connection.info.encoding)
    take = server.get_copy_data
    waiting = bytearray()
    while True:
        size, row = take(1)
        if size > 0:
            waiting += row
            if len(waiting) >= BLOCK:
                keeper.feed(waiting)
                waiting = bytearray()
        elif size == NOTHING_YET:
            select.select([server.socket], [], [])
            server.consume_input()
        else:
            break
    keeper.feed(waiting)
    ended = server.get_result()
    if ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
        raise (
            psycopg.errors.error_from_result(ended, encoding=connection.info.encoding)
            if ended
            else psycopg.OperationalError("the server ended the transfer without saying so")
        )
    while server.get_result() is not None:
        pass
    return ended.command_tuples or 0
