"""DuckDB's extensions, from the packages `duckdb-extension-*` or from DuckDB's own repository."""

import importlib.util
from pathlib import Path

import duckdb

from deribit_pipeline.domain.tables import quoted
from deribit_pipeline.errors import WarehouseUnusable, first_line
from deribit_pipeline.warehouse.place import Connection


def load(connection: Connection, *names: str) -> None:
    """Load extensions. Raises WarehouseUnusable if one can neither be found nor downloaded."""
    for name in names:
        installed = _installed(name)
        try:
            if installed is None:
                connection.execute(f"install {name}")
                connection.execute(f"load {name}")
            else:
                connection.execute(f"load {quoted(str(installed))}")
        except duckdb.Error as error:
            raise WarehouseUnusable(
                f"A DuckLake needs DuckDB's extension {name}, which is neither installed for "
                f"duckdb {duckdb.__version__} nor reached in DuckDB's repository "
                f"({first_line(error)}): pip install duckdb-extension-{name.replace('_', '-')}"
                f"=={duckdb.__version__} brings it."
            ) from error


def _installed(name: str) -> Path | None:
    """The file of an extension from a package for exactly this version of DuckDB."""
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    return file if file.exists() else None
