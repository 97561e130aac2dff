"""Damaged files of a home: which one it is, and the command that helps.

DuckDB says in the middle of some query that a block does not have its checksum; whoever reads that wants to know which
file, and what to do about it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from retention_pipeline.publish import generations
from retention_pipeline.run.machine import MachineError, machine_error
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import DamagedFile, damage, looks_damaged


@contextmanager
def named_damage(home: Home) -> Iterator[None]:
    """Turn an error that comes from a damaged file of the home into DamagedFile, and what the machine refuses into
    MachineError: each says what helps.
    """
    try:
        yield
    except (DamagedFile, MachineError):
        raise
    except Exception as error:
        found = machine_error(home, error) or damaged_file(home, error)
        if found is None:
            raise
        raise found from error


def damaged_file(home: Home, error: BaseException) -> DamagedFile | None:
    """The damaged file behind an error, with what to do; None if there is none."""
    return find_damage(home) if looks_damaged(error) else None


def find_damage(home: Home) -> DamagedFile | None:
    """The first of the home's files that cannot be read to its last row, with what to do; None if all can."""
    if home.current.exists() and (reason := damage(home.current.resolve())):
        return DamagedFile(f"{home.current.resolve()} is damaged: {reason}.\n{_helps_generation(home)}")
    if home.raw_file.exists() and (reason := damage(home.raw_file)):
        return DamagedFile(
            f"{home.raw_file} is damaged: {reason}.\n"
            f"To load everything again from {home.archive}: retention rebuild --home {home.root}"
        )
    return None


def lost_link(home: Home) -> DamagedFile | None:
    """Where there are generations and no link to one: what the next run does, and what helps at once."""
    kept = generations.generations(home)
    if home.current.exists() or not kept:
        return None
    return DamagedFile(
        f"{home.current} is gone; generations {', '.join(str(one.number) for one in kept)} are there. The next run"
        f" starts from the newest that can be read. To make it current now: retention restore --home {home.root}"
    )


def _helps_generation(home: Home) -> str:
    others = [one for one in generations.generations(home) if not one.is_current and damage(one.path) is None]
    if others:
        return (
            f"To go back to generation {others[-1].number}, from which the next run catches up: "
            f"retention restore --home {home.root}"
        )
    return f"No other generation is kept. To compute all figures anew: retention run --full-refresh --home {home.root}"
