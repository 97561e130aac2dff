"""Which generation is current when it is not the last one that a run made: `restore`, a lost link, a damaged file.

A generation that is made current here was read to its last row first.
"""

import os

import duckdb

from retention_pipeline.publish.generations import (
    NOTE_OF_RESTORE,
    Generation,
    current_number,
    fsync,
    generations,
    point_current_at,
    restored_from,
)
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import DamagedFile, check_rights, damage, opened, tables_in


class NoSuchGeneration(Exception):
    """A generation that is not among the kept ones was asked for."""


def restore(home: Home, number: int | None = None) -> Generation:
    """Make an earlier kept generation current (default: the newest readable one before the current; where the link is
    lost or what it names is damaged, the newest readable one). The next run starts from it.

    Call under the writer lock. Raises NoSuchGeneration, and DamagedFile for a generation that cannot be read.
    """
    kept = generations(home)
    if not kept:
        raise NoSuchGeneration(f"nothing has been published in {home.published} yet")
    current = current_number(home)
    if current is not None and damage(home.current.resolve()) is not None:
        current = None
    if number is None:
        chosen = _newest_readable([one for one in kept if current is None or one.number < current])
        if chosen is None and current is not None and kept[0].number == current:
            raise NoSuchGeneration(f"generation {current} is the oldest that is kept")
        if chosen is None:
            raise NoSuchGeneration(_none_is_readable(home))
    else:
        chosen = next((generation for generation in kept if generation.number == number), None)
        if chosen is None:
            listed = ", ".join(str(generation.number) for generation in kept) or "none"
            raise NoSuchGeneration(f"generation {number} is not kept; those kept are {listed}")
        reason = damage(chosen.path)
        if reason is not None:
            raise DamagedFile(f"{chosen.path} is damaged ({reason}). Nothing was changed; name another generation.")
    _go_back(home, chosen, behind=current if current is not None else generations(home)[-1].number)
    return Generation(chosen.number, chosen.path, True, chosen.bytes)


def recover(home: Home, *, thorough: bool = False) -> str | None:
    """Where the link is lost, or what it names cannot be opened (thorough: or read to its last row), make the newest
    readable generation current; where there is none, nothing is. Returns one line about it, None if nothing was wrong.

    Call under the writer lock. A generation is swept only where a link says which one is current, so a link that was
    lost costs nothing.
    """
    kept = generations(home)
    problem = _problem_of_link(home)
    if problem is None and thorough and home.current.exists() and (reason := damage(home.current.resolve())):
        problem = _damaged(home, reason)
    if problem is None or not (kept or os.path.lexists(home.current)):
        return None
    damaged = current_number(home)
    chosen = _newest_readable([generation for generation in kept if generation.number != damaged])
    if chosen is None:
        if home.current.is_symlink():
            home.current.unlink()
        elif home.current.exists():
            os.rename(home.current, home.current.with_name("current.damaged.duckdb"))
        return f"{home.current} {problem}, and {_none_is_readable(home)}"
    _go_back(home, chosen, behind=kept[-1].number)
    return f"{home.current} {problem}; generation {chosen.number} is the newest that can be read and is current now"


def _go_back(home: Home, chosen: Generation, *, behind: int) -> None:
    """Make a generation current; those up to `behind` are kept and their numbers not given again."""
    note = home.published / NOTE_OF_RESTORE
    note.write_text(str(max(behind, restored_from(home))))
    fsync(note)
    point_current_at(home, chosen.path)


def _problem_of_link(home: Home) -> str | None:
    """What is wrong with current.duckdb as far as opening shows it; None also before the first generation."""
    if not home.current.exists():
        if home.current.is_symlink():
            return f"points to {os.readlink(home.current)}, which is gone"
        return "is gone"
    check_rights(home.current.resolve())
    if home.current.stat().st_size == 0:
        return _damaged(home, "it is empty")
    try:
        with opened(home.current.resolve(), read_only=True) as connection:
            tables_in(connection)
    except duckdb.Error as error:
        return _damaged(home, " ".join(str(error).split("\n")[0].split()))
    return None


def _damaged(home: Home, reason: str) -> str:
    return f"({home.current.resolve().name}) is damaged: {reason}"


def _newest_readable(kept: list[Generation]) -> Generation | None:
    return next((generation for generation in reversed(kept) if damage(generation.path) is None), None)


def _none_is_readable(home: Home) -> str:
    return (
        f"no other generation in {home.published} can be read: all figures are computed anew from raw"
        f" (retention run --home {home.root})"
    )
