"""Imports point one way, and each library is known to one layer."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deribit_pipeline"

PURE = {
    "addresses", "datasets", "domain", "errors", "instruments", "location", "malformed",
    "outside_text",
}  # fmt: skip
LAYERS = {
    "__init__": set(),
    "addresses": set(),
    "outside_text": set(),
    "errors": {"outside_text"},
    "domain": set(),
    "datasets": {"domain", "instruments"},
    "instruments": {"errors"},
    "malformed": {"domain"},
    "location": {"errors", "outside_text"},
    "masking": set(),
    "catalog": {"errors", "masking", "outside_text"},
    "log_file": set(),
    "logs": {"log_file", "masking", "outside_text"},
    "processes": set(),
    "home": PURE,
    "variables": {"errors"},
    "settings": PURE | {"masking", "variables"},
    "sandbox": {"sandbox"},
    "deribit": PURE | {"catalog", "deribit"},
    "planning": PURE | {"planning"},
    "warehouse": PURE | {"catalog", "masking", "processes", "warehouse"},
    "pictures": PURE | {"pictures"},
    "read": PURE | {"settings", "warehouse"},
    "operations": PURE
    | {"__init__", "settings", "deribit", "planning", "warehouse", "operations", "sandbox"},
    "defs": PURE
    | {"home", "pictures", "processes", "settings", "variables", "warehouse", "operations", "defs"},
    "definitions": PURE | {"settings", "variables", "warehouse", "operations", "defs"},
    "cli": PURE
    | {
        "__init__",
        "home",
        "logs",
        "masking",
        "settings",
        "warehouse",
        "operations",
        "defs",
        "sandbox",
    }
    | {"cli", "pictures"},
}
THIRD_PARTY = {
    "dagster": {"defs", "definitions"},
    "dagster_postgres": {"defs"},
    "dagster_webserver": {"defs"},
    "graphql": {"defs"},
    "sqlalchemy": {"cli", "defs"},
    "httpx": {"deribit"},
    "orjson": {"deribit", "sandbox"},
    "duckdb": {"warehouse"},
    "typer": {"cli"},
    "rich": {"cli"},
    "altair": {"pictures"},
    "vl_convert": {"pictures"},
    "starlette": {"defs", "sandbox"},
    "uvicorn": {"sandbox"},
    "concurrent_log_handler": {"log_file"},
    "dotenv": {"variables"},
    "tenacity": {"deribit", "warehouse"},
    "pandas": {"warehouse"},
    "polars": {"warehouse"},
    "pyarrow": {"operations"},
    "psycopg2": {"catalog", "deribit", "warehouse"},
}
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
            if target != layer and target not in LAYERS[layer]:
                found.append(f"{layer} imports {target}")
        elif root in THIRD_PARTY and layer not in THIRD_PARTY[root]:
            found.append(f"{layer} imports {root}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    assert breaches(layer_of(path), imports_of(path)) == []


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
