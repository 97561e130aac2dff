"""`retention forget`: a person's ids become random ones everywhere in the home, and stay so.

No figure changes: nothing but the id is another one, integer keys included. What is delivered again goes through the
door (ingest/door.py), which knows people by keyed hashes alone. Each step may be repeated, so a run that was ended is
begun again with the same command; who is to be forgotten is noted first, as a hash.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from retention_pipeline.ingest.door import EMAIL, Names, clean
from retention_pipeline.ingest.forgotten import (
    check_key,
    forgotten_file,
    keyed_hash,
    privacy_key,
    read_forgotten,
    write_forgotten,
)
from retention_pipeline.ingest.packed import remove_left
from retention_pipeline.ingest.rebuild import archived_files
from retention_pipeline.ingest.schema import open_raw
from retention_pipeline.publish.exports import export_tables
from retention_pipeline.run.forgetting_in_files import (
    Doors,
    forget_in_texts,
    remove_put_aside,
    rewrite_landing,
    rewritten_archive,
    still_named,
)
from retention_pipeline.run.forgetting_in_tables import (
    forget_in_generation,
    forget_in_history,
    forget_in_raw,
    tables_of_people,
)
from retention_pipeline.run.lock import writer_lock
from retention_pipeline.settings import Home, Ids, Settings
from retention_pipeline.warehouse import opened_raw, sql_name

SHARED_BY = 3  # an address in rows of more other customers is nobody's own: that of a shop, of a colleague


class NotForgotten(Exception):
    """Nobody could be forgotten, or not everywhere; str() says why and what to do."""


@dataclass
class Forgotten:
    """What was done. people: how many ids and addresses; files: archived and delivered files that were rewritten."""

    people: int
    files: int = 0
    generation: int | None = None
    left: list[str] = field(default_factory=list)


def forget(
    home: Home,
    settings: Settings,
    customers: list[str],
    *,
    now: datetime,
    say: Callable[[str], None] = lambda text: None,
) -> Forgotten:
    """Forget people by their ids. Raises NotForgotten, SettingsError, HomeIsBusy."""
    key = privacy_key(settings)
    check_key(home, key)
    with writer_lock(home):
        if not home.raw_file.exists():
            raise NotForgotten(f"{home.raw_file} is not there, so nobody is known; nothing was changed")
        people = read_forgotten(home)
        ids = _known_ids(home, settings, customers, key, people)
        for one in ids:
            people.setdefault(keyed_hash(key, one), f"forgotten-{secrets.token_hex(8)}")
        pairs = {one: people[keyed_hash(key, one)] for one in ids}
        acts = _acts(home)
        write_forgotten(home, key, people, acts)
        say("raw: looking for addresses")
        _add_addresses(home, key, people, pairs, _addresses_in_raw(home, pairs))
        rewritten: dict[str, tuple[str, Path, Path]] = {}
        remove_left(home)
        copies = set(archived_files(home))
        while True:
            for _, _, half_way in rewritten.values():
                if half_way not in copies:
                    half_way.unlink(missing_ok=True)
            say("archive: rewriting")
            doors = Doors(home, settings, key, people, Names(pairs))
            rewritten = rewritten_archive(home, doors)
            new = {one.lower() for one in doors.emails} - pairs.keys()
            if not _add_addresses(home, key, people, pairs, new):
                break
        write_forgotten(home, key, people, acts)
        say("raw: rewriting")
        checksums = {old: new for old, (new, _, _) in rewritten.items()}
        forget_in_raw(home, settings, Names(pairs), checksums)
        done = Forgotten(len(pairs), len(rewritten))
        say("landing folders: rewriting")
        done.files += rewrite_landing(home, settings, doors)
        remove_put_aside(home)
        if home.current.exists():
            say("published: a new generation without them, the others are deleted")
            done.generation = forget_in_generation(home, Names(pairs), checksums)
            export_tables(home)
        say("history: rewriting")
        done.files += forget_in_history(home, Names(pairs), checksums)
        # Last, since a command that was ended learns from them which checksums are other ones now.
        for _, old_path, new_path in rewritten.values():
            if old_path != new_path:
                old_path.unlink(missing_ok=True)
        say("records, alerts, Dagster's history")
        forget_in_texts(home, Names(pairs))
        if home.report.exists() and home.current.exists():
            from retention_pipeline.report.page import write_report

            write_report(home, settings)
        write_forgotten(home, key, people, [*acts, {"at": now.isoformat(timespec="seconds"), "number": len(pairs)}])
        done.left = [str(path) for path in still_named(home, Names(pairs))]
        return done


def _acts(home: Home) -> list[dict[str, object]]:
    path = forgotten_file(home)
    return list(json.loads(path.read_text(encoding="utf-8")).get("acts", [])) if path.exists() else []


def _known_ids(home: Home, settings: Settings, customers: list[str], key: bytes, people: dict[str, str]) -> list[str]:
    """The ids as raw has them, with those of the same person by aliases. Raises NotForgotten for an unknown one."""
    sources = [settings.read_source(name) for name in settings.sources]
    forms = [source.ids or Ids() for source in sources] or [Ids()]
    with closing(open_raw(home.raw_file)) as connection:  # which brings a file of an earlier version up to date
        found: dict[str, None] = {}
        unknown = []
        for customer in customers:
            texts = {customer.strip(), *(clean(customer, one) for one in forms)} - {""}
            texts |= {f"p{keyed_hash(key, one)[:24]}" for one in texts}
            known = connection.execute(
                "select customer_id from raw.customer_keys where list_contains($1, customer_id)", [sorted(texts)]
            ).fetchall()
            again = [one for one in texts if keyed_hash(key, one) in people]
            if not known and not again:
                unknown.append(customer)
            found |= dict.fromkeys([name for (name,) in known] + again)
        if unknown:
            listed = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else "")
            raise NotForgotten(f"no customer has the id {listed}; nothing was changed")
        while True:
            more = connection.execute(
                """
                select distinct unnest([alias_id, customer_id]) as customer_id
                from (select alias_id, customer_id from raw.customer_aliases
                    union select alias_id, customer_id from raw.customer_aliases_history)
                where list_contains($1, alias_id) or list_contains($1, customer_id)
                """,
                [list(found)],
            ).fetchall()
            new = [name for (name,) in more if name is not None and name not in found]
            new = [name for name in new if not name.startswith("forgotten-")]
            if not new:
                return list(found)
            found |= dict.fromkeys(new)


def _addresses_in_raw(home: Home, pairs: dict[str, str]) -> set[str]:
    """E-mail addresses in the unmapped columns of the people's rows."""
    found: set[str] = set()
    with opened_raw(home) as connection:
        for table, columns in tables_of_people():
            named = " or ".join(f"list_contains($1, {sql_name(one)})" for one in columns)
            for (text,) in connection.execute(
                f"select distinct _extra from {table} where _extra like '%@%' and ({named})", [list(pairs)]
            ).fetchall():
                found.update(one.lower() for one in EMAIL.findall(text))
    return found


def _add_addresses(home: Home, key: bytes, people: dict[str, str], pairs: dict[str, str], found: set[str]) -> bool:
    """Add those addresses that are the people's own; whether there were any."""
    new = {one for one in found - pairs.keys() if not one.startswith("forgotten-")}
    if not new:
        return False
    with opened_raw(home) as connection:
        own = [one for one in sorted(new) if not _is_shared(connection, one, pairs)]
    for one in own:
        people.setdefault(keyed_hash(key, one), f"forgotten-{secrets.token_hex(8)}")
        pairs[one] = people[keyed_hash(key, one)]
    return bool(own)


def _is_shared(connection: duckdb.DuckDBPyConnection, address: str, pairs: dict[str, str]) -> bool:
    others = 0
    for table, columns in tables_of_people():
        row = connection.execute(
            f"select count(distinct {sql_name(columns[0])}) from {table} where contains(lower(_extra), $1)"
            f" and not list_contains($2, {sql_name(columns[0])})",
            [address, list(pairs)],
        ).fetchone()
        others = max(others, row[0] if row else 0)
    return others > SHARED_BY
