"""Imports point in one direction, and each library is imported by one layer."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deribit_pipeline"

LAYERS = (
    ("addresses", "masking", "outside_text", "processes", "version"),
    ("errors",),
    ("extras",),
    ("domain", "logs", "sandbox"),
    ("datasets.registry",),
    ("home", "selection", "spool", "variables"),
    ("instrument_groups",),
    ("settings",),
    ("exchange", "warehouse"),
    ("instruments",),
    ("engine",),
    ("datasets",),
    ("lake",),
    ("opening",),
    ("reader",),
    ("assumptions", "connectivity", "export", "pages", "read", "recorder"),
    ("__init__",),
    ("defs",),
    ("definitions",),
    ("cli",),
)
"""Lowest first: a file imports from its folder and from lower ones only. The registry of datasets
and the declarations that it names are data: they import from the domain only."""

EXTRAS = {"lake": {"opening", "defs", "cli"}, "sandbox": {"opening", "cli"}}
"""Folders that are needed only for some functions, and which may import them."""

THIRD_PARTY = {
    "dagster": {"defs", "definitions"},
    "dagster_postgres": {"defs"},
    "dagster_webserver": {"defs"},
    "graphql": {"defs"},
    "sqlalchemy": {"cli", "defs"},
    "httpx": {"exchange"},
    "orjson": {"exchange", "instruments", "datasets", "sandbox"},
    "msgspec": {"exchange", "datasets"},
    "duckdb": {"warehouse", "lake"},
    "typer": {"cli"},
    "rich": {"cli"},
    "altair": {"pages"},
    "vl_convert": {"pages"},
    "jinja2": {"pages"},
    "starlette": {"defs", "sandbox"},
    "uvicorn": {"sandbox"},
    "websockets": {"exchange", "sandbox"},
    "concurrent_log_handler": {"logs"},
    "dotenv": {"variables"},
    "tenacity": {"exchange", "lake", "warehouse"},
    "pandas": {"engine", "reader"},
    "polars": {"reader"},
    "pyarrow": {"export", "reader"},
    "psycopg2": {"lake"},
}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in the file it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def breaches(layer: str, imports: set[str]) -> list[str]:
    found = []
    for name in sorted(imports):
        root, *rest = name.split(".")
        if root == "deribit_pipeline":
            is_module = (PACKAGE / rest[0]).exists() or (PACKAGE / f"{rest[0]}.py").exists()
            target = rest[0] if is_module else "__init__"
            if rest[:2] == ["datasets", "registry"]:
                target = "datasets.registry"
            is_lower = target == layer or RANK[target] < RANK[layer]
            is_open = target == layer or layer in EXTRAS.get(target, RANK)
            if not (is_lower and is_open):
                found.append(f"{layer} imports {target}")
        elif root in THIRD_PARTY and layer not in THIRD_PARTY[root]:
            found.append(f"{layer} imports {root}")
    return found


def name_of(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


NAMES = {name_of(path) for path in FILES}


def imported_files(path: Path) -> set[str]:
    """The files of the package that a file imports, by dotted name."""
    found = {name if name in NAMES else name.rpartition(".")[0] for name in imports_of(path)}
    return found & NAMES - {name_of(path)}


def circle_of(imports: Mapping[str, set[str]]) -> list[str]:
    """The files in an import cycle, or between two of them; empty without cycles."""
    left = dict(imports)
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    while free := [name for name in left if not any(name in needs for needs in left.values())]:
        for name in free:
            del left[name]
    return sorted(left)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    assert breaches(layer_of(path), imports_of(path)) == []


def test_the_registry_of_datasets_stands_on_the_domain_alone() -> None:
    code = "import sys, deribit_pipeline.datasets.registry; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names = set(loaded.stdout.split())
    assert not names & {"httpx", "duckdb", "dagster", "pandas", "pyarrow", "typer"}
    ours = {name.split(".")[1] for name in names if name.startswith("deribit_pipeline.")}
    assert ours <= {"datasets", "domain", "errors", "outside_text", "version"}


def test_no_circle_of_files() -> None:
    assert circle_of({name_of(path): imported_files(path) for path in FILES}) == []


def test_a_circle_is_seen() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set[str]()}
    assert circle_of(imports) == ["b", "c"]


def test_file_names_are_unique_outside_the_datasets() -> None:
    others = (path for path in FILES if layer_of(path) != "datasets")
    names = Counter(path.name for path in others if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_an_import_in_the_wrong_direction_is_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import numpy\ndef late():\n    import dagster as dg\n"
        "    from deribit_pipeline.defs import x\n    from deribit_pipeline.domain import y\n"
    )
    assert breaches("warehouse", imports_of(wrong)) == [
        "warehouse imports dagster",
        "warehouse imports defs",
    ]


def test_an_import_of_an_extra_by_others_than_its_users_is_seen(tmp_path: Path) -> None:
    late = tmp_path / "late.py"
    late.write_text("def late():\n    from deribit_pipeline.lake.store import LakeStore\n")
    assert breaches("cli", imports_of(late)) == []
    assert breaches("read", imports_of(late)) == ["read imports lake"]
