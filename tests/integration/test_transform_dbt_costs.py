"""What stands in for functions of dbt gives what dbt's own give, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from retention_pipeline.transform.dbt_costs import WORTH_WRITING, Templates

SCRIPT = """
import json, sys
from retention_pipeline.transform import dbt_costs
from retention_pipeline.transform.manifest import manifest_object
if sys.argv[1] == "patched":
    dbt_costs.install()
from dbt.clients import jinja
from dbt.compilation import InjectedCTE, inject_ctes_into_sql
from dbt.context.macros import MacroNamespaceBuilder
from dbt.adapters.events.types import SQLQuery
from dbt_common.events import event_manager_client, functions
from dbt_common.events.base_types import EventLevel
from dbt_common.clients.agate_helper import empty_table

said = {}
manifest = manifest_object()
for search in ("retention", "dbt"):
    builder = MacroNamespaceBuilder("retention", search, None, ["dbt_duckdb", "dbt"], None)
    context = {}
    macros = builder.build_namespace(manifest.get_macros_by_package(), context)
    found = {}
    for name in macros:
        one = macros[name]
        of = lambda each: [each.macro.unique_id, each.context is context]
        found[name] = {key: of(each) for key, each in one.items()} if isinstance(one, dict) else of(one)
    said[search] = found
    said[search + " by package"] = [
        macros.get_from_package(package, "rules" if package == "retention" else "ref_if_built")
        is not None for package in (None, "dbt", "retention")
    ]
ctes = [InjectedCTE("a", "a as (select 1 as x)"), InjectedCTE("b", "b as (select 2 as y)")]
said["sql"] = [
    " ".join(inject_ctes_into_sql(sql, ctes).replace(" ,", ",").split())
    for sql in ("with c as (select * from a) select * from c", "\\n\\nWITH c as (select 1)\\nselect * from c, b",
                "select * from a", "-- words\\nwith c as (select 1) select * from c")
]
said["no sql"] = inject_ctes_into_sql("with c as (select 1) select 1", [])
heard = []
hear = lambda event: heard.append([event.info.name, event.info.level, event.info.msg])
event_manager_client.add_callback_to_manager(hear)
functions.fire_event(SQLQuery(conn_name="x", sql="select 1"), level=EventLevel.INFO)
said["shown"] = heard
template = jinja.get_template("{{ 1 + a }} {% for b in [1, 2] %}{{ b }}{% endfor %}", {})
said["rendered"] = [template.render({"a": 1}), template.render({"a": 2})]
said["again"] = jinja.get_template("{{ 1 + a }} {% for b in [1, 2] %}{{ b }}{% endfor %}", {}).render({"a": 3})
said["empty"] = len(empty_table().rows)
from argparse import Namespace
from dbt.compilation import Linker
from dbt.context import providers
from dbt.flags import set_from_args
set_from_args(Namespace(), {})
said["arguments"] = [
    {key: value for key, value in providers.args_to_dict(args).items() if key in ("which", "vars")}
    for args in (Namespace(which="build", vars={"a": 1}), Namespace(which="compile", vars={}))
]
graphs = []
for edges in ("ab bc ac", "ab bc ca"):
    linker = Linker()
    for one, other in edges.split():
        linker.dependency(other, one)
    graphs.append(linker.find_cycles())
said["cycles"] = graphs
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.environments.local import LocalEnvironment
settings = {"TimeZone": "Asia/Kolkata", "memory_limit": "1GB", "disabled_optimizers": "statistics_propagation"}
environment = LocalEnvironment(DuckDBCredentials(database="memory", schema="main", settings=settings))
wanted = "select " + ", ".join(f"current_setting('{name}')" for name in settings)
said["settings"] = [environment.handle().cursor().execute(wanted).fetchall() for _ in range(2)]
from functools import singledispatch
from dbt_common.behavior_flags import BehaviorFlagRendered
flag = singledispatch(BehaviorFlagRendered)({"name": "a", "default": False, "description": "b"}, {})
said["whose flag"] = flag._behavior_change_event.flag_source
import tempfile
from pathlib import Path
from dbt.contracts.graph.nodes import ModelNode
path = Path(tempfile.mkdtemp()) / "compiled" / "a.sql"
ModelNode.write_node(None, "", str(path), "select 1 as é")
if sys.argv[1] == "patched":
    assert not path.exists()
    dbt_costs.write_texts()
said["text"] = path.read_text(encoding="utf-8")
print("SAID" + json.dumps(said, sort_keys=True))
"""


def said_by(kind: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, kind], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("SAID")]
    assert lines, done.stderr[-2000:]
    found: dict[str, object] = json.loads(lines[0].removeprefix("SAID"))
    return found


def test_what_stands_in_for_dbt_says_the_same() -> None:
    own, patched = said_by("own"), said_by("patched")
    assert own.keys() == patched.keys()
    for name in own:
        assert own[name] == patched[name], name
    assert own["shown"], "an event that is shown was not heard: the comparison sees nothing"


def test_templates_of_one_run_are_there_in_the_next(tmp_path: Path) -> None:
    first, second = Templates(), Templates()
    first.codes = {
        ("environment", f"{number}"): compile(f"x = {number}", "t", "exec") for number in range(WORTH_WRITING)
    }
    first.keep(tmp_path)
    second.load(tmp_path)
    assert second.codes == first.codes


@pytest.mark.parametrize("content", [b"", b"no bytecode", b"\x00"])
def test_a_damaged_file_of_templates_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    templates = Templates()
    templates.file_in(tmp_path).write_bytes(content)
    templates.load(tmp_path)
    assert templates.codes == {}
