"""Where a warehouse is: in one DuckDB file, or in a DuckLake that many machines share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deribit_pipeline.errors import SettingsError

LAKE = "ducklake:postgres:"
"""What a location of a DuckLake starts with, as DuckDB writes it; a connection string follows."""

_SHOWN = re.compile(r"\b(host|port|dbname)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    """How an S3-compatible store is reached, by the variables that all tools of AWS read.

    Without a key, DuckDB finds one as those tools do: profiles, web identity, the machine's role.
    """

    endpoint: str | None = None
    region: str | None = None
    key_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str | None]) -> "ObjectStorage":
        """Read the variables of `env`; an empty one counts as absent."""
        endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None
        if endpoint and not re.fullmatch(r"https?://[^/@\s]+/?", endpoint):
            raise SettingsError(
                "AWS_ENDPOINT_URL must be the root of an object store such as "
                "http://127.0.0.1:9000, without path or credentials."
            )
        return cls(
            endpoint=endpoint,
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None,
            key_id=env.get("AWS_ACCESS_KEY_ID") or None,
            secret=env.get("AWS_SECRET_ACCESS_KEY") or None,
            token=env.get("AWS_SESSION_TOKEN") or None,
        )


@dataclass(frozen=True, slots=True)
class Lake:
    """A DuckLake: its catalog in the PostgreSQL database that `catalog`, a connection string of
    libpq, names; its Parquet files under `data`, an absolute folder or `s3://bucket/prefix`.

    As text it shows neither user nor password.
    """

    catalog: str = field(repr=False)
    data: str
    storage: ObjectStorage = ObjectStorage()

    def __str__(self) -> str:
        return LAKE + self.shown

    @property
    def shown(self) -> str:
        """The catalog's host, port and database."""
        if "://" in self.catalog:
            # Up to the last @, whatever signs a password has that should have been escaped.
            return "//" + re.split("[?#]", self.catalog.rpartition("://")[2].rpartition("@")[2])[0]
        return " ".join(f"{name}={value}" for name, value in _SHOWN.findall(self.catalog))

    @property
    def is_on_object_storage(self) -> bool:
        return "://" in self.data


Location = Path | Lake


def said_by_libpq(error: Exception) -> str:
    """What the network or the server said of a connection that failed, without the address: a
    password that is written wrongly is read as a part of it, and repeated."""
    said = re.findall(r"(?:failed|to address): (?:FATAL: +)?(.+)", str(error))
    return str(said[-1]) if said else "its connection string is not understood"


def location_of(text: str, data: str | None, env: Mapping[str, str | None]) -> Location:
    """The location that DERIBIT_WAREHOUSE and DERIBIT_WAREHOUSE_DATA name. Raises SettingsError."""
    if not text.startswith("ducklake:"):
        if data:
            raise SettingsError(
                "DERIBIT_WAREHOUSE_DATA is for a DuckLake, and DERIBIT_WAREHOUSE names a file: "
                "unset it, or set DERIBIT_WAREHOUSE=ducklake:postgres:…"
            )
        return Path(text)
    if not text.startswith(LAKE):
        raise SettingsError(
            "DERIBIT_WAREHOUSE must name a file, or a DuckLake whose catalog is in PostgreSQL: "
            f"{LAKE}host=… dbname=…"
        )
    if not data:
        raise SettingsError(
            "A DuckLake needs a place for its Parquet files: set DERIBIT_WAREHOUSE_DATA to a "
            "folder or to s3://bucket/prefix."
        )
    scheme, separator, rest = data.partition("://")
    if separator and (scheme != "s3" or not rest.strip("/")):
        raise SettingsError(
            f"DERIBIT_WAREHOUSE_DATA must be a folder or s3://bucket/prefix, was {data!r}."
        )
    folder = data if separator else str(Path(data).absolute())
    return Lake(text.removeprefix(LAKE), f"{folder.rstrip('/')}/", ObjectStorage.from_env(env))
