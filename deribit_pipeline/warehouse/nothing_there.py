"""What to say where no warehouse is."""

from pathlib import Path

from deribit_pipeline.domain.location import Location

_MOST = 3


def nothing_at(location: Location) -> str:
    """A message about a warehouse that does not exist: its absolute path, and the warehouses that
    lie beside it."""
    if not isinstance(location, Path):
        return f"{location} does not exist: nothing was backfilled into it yet."
    at = f" (it is a link to {location.readlink()})" if location.is_symlink() else ""
    message = (
        f"{location.absolute()} does not exist{at}: nothing was backfilled into it yet, or its "
        "disk is not mounted."
    )
    if beside := _beside(location.absolute()):
        names = ", ".join(map(str, beside[:_MOST]))
        more = f" and {len(beside) - _MOST} more" if len(beside) > _MOST else ""
        return (
            f"{message} Beside it: {names}{more}; name that file in DERIBIT_WAREHOUSE, in Python "
            "as warehouse=, or set DERIBIT_ENV to its environment."
        )
    return f"{message} Check that DERIBIT_WAREHOUSE names it."


def _beside(path: Path) -> list[Path]:
    try:
        return sorted(each for each in path.parent.glob("*.duckdb") if each != path)
    except OSError:
        return []
