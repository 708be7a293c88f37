"""Runs a notebook of the project, all cells of it."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run_notebook(path: Path, given: Mapping[str, object]) -> tuple[list[Any], dict[str, Any]]:
    """The output of the cells, and their definitions; `given` replaces the cells that define it."""
    spec = importlib.util.spec_from_file_location("notebook", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shown, defined = module.app.run(defs=dict(given))
    return list(shown), dict(defined)
