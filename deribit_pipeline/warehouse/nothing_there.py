"""What to say where no warehouse is."""

from pathlib import Path

from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.domain.location import Location

_MOST = 3


def nothing_at(location: Location) -> str:
    """A message about a warehouse that does not exist: its absolute path, and the warehouses that
    lie near it."""
    if not isinstance(location, Path):
        return f"{location} does not exist: nothing was backfilled into it yet."
    at = f" (it is a link to {location.readlink()})" if location.is_symlink() else ""
    message = (
        f"{location.absolute()} does not exist{at}: nothing was backfilled into it yet, or its "
        "disk is not mounted."
    )
    where, others = _others(location.absolute())
    if not others:
        return f"{message} Check that DERIBIT_WAREHOUSE names it."
    return (
        f"{message} {where}: {first_names(others, _MOST)}; name that file in DERIBIT_WAREHOUSE, "
        "in Python as warehouse=, or set DERIBIT_ENV to its environment."
    )


def _others(path: Path) -> tuple[str, list[Path]]:
    """Warehouses beside a path, or else in the folder data of the nearest folder above."""
    if beside := _files(path.parent, path):
        return "Beside it", beside
    above = (_files(folder / "data", path) for folder in path.parents)
    return "In a folder above", next(filter(None, above), [])


def _files(folder: Path, but: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.glob("*.duckdb") if each != but)
    except OSError:
        return []
