"""What dbt spends on every node and need not: in a run of seventy nodes on small data this is half of its time.

dbt is made for warehouses that answer in seconds. Each patch replaces one function by another with the same result:

- templates: Jinja's bytecode is kept beside the parsed project instead of being compiled in every run;
- contexts: a node's macros are looked up in one dictionary, whose plan is made once, instead of in five in turn;
- events: those of level debug, which no log of ours shows, are neither built nor formatted;
- CTEs of ephemeral models are put in after a leading `with`, without parsing the SQL around them;
- the empty result of a statement is one object, and so are the arguments of the invocation;
- that a graph has no cycle is found by sorting it;
- settings of DuckDB are set once for the database instead of on each of a hundred cursors;
- texts of nodes are kept and only written where somebody is to read them (`write_texts`), as a build that went well
  would remove two hundred files in ninety folders;
- which module has a behaviour flag is read from the frames, without looking for the source of each.

dbt's version is pinned (pyproject.toml, constraints.txt); `tests/integration/test_transform_dbt_costs.py` compares each
with dbt's own.
"""

from __future__ import annotations

import marshal
import os
import sys
import tempfile
from collections.abc import Callable
from copy import copy
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any

KEPT_TEMPLATES = 5_000
WORTH_WRITING = 10  # new templates; fewer are compiled again


class Templates:
    """Bytecode of templates by the kind of environment and their text, kept in a file of this user."""

    def __init__(self) -> None:
        self.codes: dict[tuple[str, str], CodeType] = {}
        self.known = 0

    def file_in(self, folder: Path) -> Path:
        """Bytecode is of one Python and one Jinja."""
        return folder / f"templates-{sys.implementation.cache_tag}-{version('jinja2')}"

    def load(self, folder: Path) -> None:
        """Read what an earlier run kept; a file of somebody else, or one that is damaged, is as good as none."""
        path = self.file_in(folder)
        try:
            if path.stat().st_uid == os.getuid():
                self.codes |= marshal.loads(path.read_bytes())
        except (OSError, ValueError, EOFError, TypeError):
            pass
        self.known = len(self.codes)

    def keep(self, folder: Path) -> None:
        """Write them for later runs, if there are many new ones; a folder that cannot be written to is left alone."""
        if not WORTH_WRITING <= len(self.codes) - self.known <= KEPT_TEMPLATES:
            return
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".templates-", delete=False) as file:
                file.write(marshal.dumps(self.codes))
            os.replace(file.name, self.file_in(folder))
            self.known = len(self.codes)
        except OSError:
            pass


TEMPLATES = Templates()


def _replace(owner: Any, **functions: Any) -> None:
    for name, function in functions.items():
        setattr(owner, name, function)


@lru_cache(maxsize=1)
def install() -> None:
    """Replace the functions, once per process."""
    _keep_templates()
    _look_macros_up_at_once()
    _leave_debug_events_out()
    _share_the_empty_result()
    _put_ctes_in_quickly()
    _list_arguments_once()
    _look_for_cycles_quickly()
    _set_settings_once()
    _keep_texts()
    _find_flags_quickly()


def write_texts() -> None:
    """Write the nodes' texts of the last invocation where dbt would have."""
    from dbt_common.clients.system import write_file

    for path, text in dict(_texts).items():  # after an interruption dbt's threads go on for a moment
        write_file(path, text)


def forget_texts() -> None:
    """Before the next invocation."""
    _texts.clear()


def _keep_templates() -> None:
    from dbt_common.clients import jinja

    for kind in (jinja.MacroFuzzEnvironment, jinja.NativeSandboxEnvironment):
        _replace(kind, compile=_compile_once(kind.__name__, kind.compile))


def _compile_once(kind: str, compile_template: Callable[..., Any]) -> Callable[..., Any]:
    def compile_once(self: Any, source: Any, *arguments: Any, **named: Any) -> Any:
        if not isinstance(source, str) or arguments or named:
            return compile_template(self, source, *arguments, **named)
        code = TEMPLATES.codes.get((kind, source))
        if code is None:
            code = TEMPLATES.codes[kind, source] = compile_template(self, source)
        return code

    return compile_once


def _look_macros_up_at_once() -> None:
    from dbt.clients.jinja import MacroGenerator, MacroStack
    from dbt.context import macros

    own = macros.MacroNamespaceBuilder.build_namespace

    class Macros(dict[str, Any]):
        """A node's macros by name, packages among them: what MacroNamespace finds, found beforehand."""

        def __init__(self, found: dict[str, Any], packages: dict[str, Any], internal: dict[str, Any]) -> None:
            super().__init__(found)
            self.packages = packages
            self.global_project_namespace = internal

        get_from_package = macros.MacroNamespace.get_from_package

    @lru_cache(maxsize=16)
    def plan(key: Any) -> tuple[dict[str, str], dict[str, dict[str, str]], dict[str, str], list[tuple[str, Any]]]:
        """Which macro (by its id) each name of a namespace is, found with dbt's own rules on stand-ins."""
        by_package, root, search, order = key.parts
        builder = macros.MacroNamespaceBuilder(root, search, MacroStack(), order, None)  # type: ignore[no-untyped-call]
        namespace = own(builder, by_package, {})
        ids: dict[int, Any] = {}
        macros_of: list[tuple[str, Any]] = []
        for package in (*builder.internal_packages.values(), *builder.packages.values()):
            for generator in package.values():
                macro: Any = generator.macro
                ids[id(generator)] = macro.unique_id
                macros_of.append((macro.unique_id, macro))

        def named(members: Any) -> dict[str, str]:
            return {name: ids[id(one)] for name, one in members.items() if not isinstance(one, dict)}

        flat = {name: namespace[name] for name in namespace}
        packages = {name: named(members) for name, members in namespace.packages.items()}
        return named(flat), packages, named(namespace.global_project_namespace), macros_of

    def generator(macro: Any, context: dict[str, Any], node: Any, stack: Any) -> MacroGenerator:
        """MacroGenerator(…) without its three constructors: a run makes 200,000 of them."""
        made = MacroGenerator.__new__(MacroGenerator)
        made.__dict__.update(context=context, macro=macro, node=node, stack=stack)
        return made

    class Key:
        """Hashed by the identity of dbt's table of macros, which lives as long as its manifest."""

        def __init__(self, *parts: Any) -> None:
            self.parts = parts
            self.identity = (id(parts[0]), parts[1], parts[2], tuple(parts[3]))

        def __hash__(self) -> int:
            return hash(self.identity)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Key) and self.identity == other.identity

    def build_namespace(self: Any, macros_by_package: Any, ctx: dict[str, Any]) -> Any:
        key = Key(macros_by_package, self.root_package, self.search_package, self.internal_package_names_order)
        flat, packages, internal, macros_of = plan(key)
        node, stack = self.node, self.thread_ctx
        made = {unique_id: generator(macro, ctx, node, stack) for unique_id, macro in macros_of}
        found: dict[str, Any] = {name: made[unique_id] for name, unique_id in flat.items()}
        of_packages = {
            package: {name: made[unique_id] for name, unique_id in members.items()}
            for package, members in packages.items()
        }
        of_dbt = {name: made[unique_id] for name, unique_id in internal.items()}
        for package, members in ({"dbt": of_dbt} | of_packages).items():
            found.setdefault(package, members)
        return Macros(found, of_packages, of_dbt)

    _replace(macros.MacroNamespaceBuilder, build_namespace=build_namespace)


def _leave_debug_events_out() -> None:
    from dbt_common.events import base_types, event_manager

    base: Any = base_types.BaseEvent
    debug = base_types.EventLevel.DEBUG
    fire_event = event_manager.EventManager.fire_event

    def fire_if_shown(self: Any, e: Any, level: Any = None, *arguments: Any, **named: Any) -> None:
        if (level or e.level_tag()) != debug or arguments or named.get("force_warn_or_error_handling"):
            fire_event(self, e, level, *arguments, **named)

    def remember(self: Any, *arguments: Any, **named: Any) -> None:
        object.__setattr__(self, "_pending", (arguments, named))

    def build_when_asked(self: Any, key: str) -> Any:
        pending = self.__dict__.pop("_pending", None)
        if pending is None:
            return base.__getattr__(self, key)
        base.__init__(self, *pending[0], **pending[1])
        return getattr(self, key)

    def build_when_changed(self: Any, key: str, value: Any) -> None:
        if "_pending" in self.__dict__ and key != "pb_msg":
            build_when_asked(self, "pb_msg")
        base.__setattr__(self, key, value)

    _replace(event_manager.EventManager, fire_event=fire_if_shown)
    _replace(base_types.DebugLevel, __init__=remember, __getattr__=build_when_asked, __setattr__=build_when_changed)


def _share_the_empty_result() -> None:
    from dbt_common.clients import agate_helper

    _replace(agate_helper, empty_table=lru_cache(maxsize=1)(agate_helper.empty_table))


def _put_ctes_in_quickly() -> None:
    from dbt import compilation

    inject = compilation.inject_ctes_into_sql

    def inject_after_with(sql: str, ctes: list[Any]) -> str:
        text = sql.lstrip()
        words = text[:20].lower().split()
        if not ctes or words[:1] != ["with"] or words[1:2] == ["recursive"]:
            return str(inject(sql, ctes))
        return f"{text[:4]} {', '.join(cte.sql for cte in ctes)}, {text[4:].lstrip()}"

    _replace(compilation, inject_ctes_into_sql=inject_after_with)


def _list_arguments_once() -> None:
    from dbt.context import providers
    from dbt.utils import args_to_dict as list_arguments

    listed: list[tuple[Any, Any]] = [(None, None)]

    def list_once(args: Any) -> Any:
        of, arguments = listed[0]
        if of is not args:
            arguments = list_arguments(args)  # type: ignore[no-untyped-call]
            listed[0] = args, arguments
        return arguments

    _replace(providers, args_to_dict=list_once)


def _look_for_cycles_quickly() -> None:
    import networkx  # type: ignore[import-untyped]
    from dbt.compilation import Linker

    name_cycle = Linker.find_cycles

    def find_cycles(self: Any) -> Any:
        return None if networkx.is_directed_acyclic_graph(self.graph) else name_cycle(self)  # type: ignore[no-untyped-call]

    _replace(Linker, find_cycles=find_cycles)


def _set_settings_once() -> None:
    from dbt.adapters.duckdb.environments import Environment
    from dbt.adapters.duckdb.utils import escape_sql_string

    open_database, open_cursor = Environment.initialize_db, Environment.initialize_cursor

    def initialize_db(creds: Any, *arguments: Any, **named: Any) -> Any:
        database = open_database(creds, *arguments, **named)
        for key, value in (creds.settings or {}).items():
            database.execute(f"set global {key} = '{escape_sql_string(value)}'")
        return database

    def initialize_cursor(creds: Any, *arguments: Any, **named: Any) -> Any:
        without_settings = copy(creds)
        without_settings.settings = None
        return open_cursor(without_settings, *arguments, **named)

    _replace(Environment, initialize_db=staticmethod(initialize_db), initialize_cursor=staticmethod(initialize_cursor))


_texts: dict[str, str] = {}


def _keep_texts() -> None:
    from dbt.contracts.graph import nodes

    def keep(path: str, contents: str = "") -> bool:
        _texts[path] = contents
        return True

    _replace(nodes, write_file=keep)


def _find_flags_quickly() -> None:
    from dbt_common import behavior_flags

    def source() -> str:
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals["__name__"] == behavior_flags.__name__:
            frame = frame.f_back
        return str(frame.f_globals["__name__"])

    _replace(behavior_flags.BehaviorFlagRendered, _default_source=staticmethod(source))
