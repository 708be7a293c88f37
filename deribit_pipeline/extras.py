"""Packages that only some commands need: the extras of `pyproject.toml`."""

import re
from importlib import metadata

from deribit_pipeline.errors import InputError

_PROJECT = "deribit-pipeline"


def require_packages(extra: str, purpose: str) -> None:
    """Raise InputError, which names the packages to install, unless those of an extra are there."""
    missing = [each for each in _of_extra(extra) if not _is_installed(each)]
    if missing:
        names = " and ".join(_name(each) for each in missing)
        wanted = " ".join(f"'{each}'" for each in missing)
        raise InputError(
            f"{purpose} needs {names}, which this environment does not have: pip install {wanted}."
        )


def _of_extra(extra: str) -> list[str]:
    """The requirements of an extra, such as `altair>=6.0`; none where the project is not
    installed."""
    try:
        required = metadata.requires(_PROJECT) or []
    except metadata.PackageNotFoundError:
        return []
    marked = (each.partition(";") for each in required)
    return [text.strip() for text, _, marker in marked if f"extra == '{extra}'" in marker]


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return found[0]


def _is_installed(requirement: str) -> bool:
    try:
        metadata.version(_name(requirement))
    except metadata.PackageNotFoundError:
        return False
    return True
