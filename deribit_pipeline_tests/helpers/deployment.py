"""The files of `deploy/`, parsed like their tools do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")
"""A variable as a compose file writes it: `${X}`, `${X:-default}` or `${X:?why it must be set}`."""


def read(name: str) -> Any:
    """A YAML file of `deploy/`."""
    return yaml.safe_load((DEPLOY / name).read_text())


def services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services of `compose.yaml` with these variables. Raises KeyError for a required one that
    is not set."""

    def value(found: re.Match[str]) -> str:
        name, how, text = found.groups()
        if given := variables.get(name):
            return given
        if how == "?":
            raise KeyError(f"{name}: {text}")
        return text or ""

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: filled(one) for key, one in part.items()}
        if isinstance(part, list):
            return [filled(one) for one in part]
        return VARIABLE.sub(value, part).replace("$$", "$") if isinstance(part, str) else part

    found: dict[str, dict[str, Any]] = filled(read("compose.yaml")["services"])
    return found


def ours(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    return {name: one for name, one in services(variables).items() if "build" in one}


def variables_of(database: str) -> dict[str, str]:
    """The environment variables with which `dagster.yaml` stores in the database of this
    connection string, a URL."""
    url = urlsplit(database)
    return {
        "DAGSTER_PG_HOST": str(url.hostname),
        "DAGSTER_PG_PORT": str(url.port),
        "DAGSTER_PG_DB": url.path.removeprefix("/"),
        "DAGSTER_PG_USERNAME": str(url.username),
        "DAGSTER_PG_PASSWORD": str(url.password),
    }


def storage_in(database: str) -> dict[str, Any]:
    """The storage section of a `dagster.yaml` for the database of this connection string."""
    storages = {name: part for name, part in read("dagster.yaml").items() if "_storage" in name}
    return {name: part | {"config": {"postgres_url": database}} for name, part in storages.items()}
