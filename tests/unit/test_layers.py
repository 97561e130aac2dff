"""Which package of retention_pipeline may import which: none imports one that stands later in the way of the data."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "retention_pipeline"
IN_ORDER = (
    *(
        "cycles",
        "testing",
        "errors",
        "formatting",
        "contracts",
        "settings",
        "templates",
        "warehouse",
        "demo",
        "ingest",
        "transform",
        "kpis",
        "audit",
    ),
    *("freshness", "publish", "read", "history", "report", "alerts", "run", "orchestration", "definitions", "cli"),
)


def imports(path: Path) -> Iterator[str]:
    """Names of the modules and packages directly below retention_pipeline that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "retention_pipeline":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("retention_pipeline."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("retention_pipeline.")
            )


def test_every_package_has_its_place() -> None:
    places = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert places - {"__init__"} == set(IN_ORDER)


def test_no_import_runs_upward() -> None:
    upward = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in imports(path)
        if IN_ORDER.index(name) > IN_ORDER.index(path.relative_to(PACKAGE).with_suffix("").parts[0])
    ]
    assert upward == []


def test_the_map_in_the_readme_names_every_folder() -> None:
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8").partition("## Map of the repository")[2]
    folders = [
        path.name
        for parent in (PACKAGE, PACKAGE.parent / "tests")
        for path in parent.iterdir()
        if path.is_dir() and any(path.glob("**/*.py"))
    ]
    assert [name for name in sorted(folders) if f"`{name}/`" not in readme] == []
