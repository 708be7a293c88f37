"""Where a warehouse is: in one DuckDB file, or in a DuckLake, of one machine or of many."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from deribit_pipeline.errors import SettingsError

LAKE = "ducklake:postgres:"
"""The prefix of a DuckLake's location, as DuckDB writes it; a connection string follows."""

LOCAL_LAKE = "ducklake:sqlite:"
"""The prefix of the location of a DuckLake of one machine; the path of a SQLite file follows."""

# A pair of a connection string; a quoted value may contain what resembles pairs.
_PAIR = r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)"
_PAIRS = re.compile(rf"(?:{_PAIR})*\s*")
_SHOWN = ("host", "port", "dbname")

# Host and path of a URI that is unambiguous: each @ is before the host, and each name=value in the
# query. In `//db/mainnet?user=me@corp&password=…`, the text after the @ could be read as a host.
_URI = re.compile(r"\w+://(?:[^/?#]*@)?([^/?#@=]*(?:/[^?#@=]*)?)(?:[?#][^@]*)?")

_CONNECTION = re.compile(r"://|password\s*=")


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    """Access to an S3-compatible store, from the environment variables that AWS tools read.

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

    Its str contains neither user nor password.
    """

    catalog: str = field(repr=False)
    data: str
    storage: ObjectStorage = ObjectStorage()
    prefix: ClassVar[str] = LAKE

    def __str__(self) -> str:
        return self.prefix + self.shown

    @property
    def address(self) -> str:
        """The location as DuckDB and DERIBIT_WAREHOUSE spell it, which may contain a password."""
        return self.prefix + self.catalog

    @property
    def shown(self) -> str:
        """The catalog's host, port and database, if they can be distinguished from a password."""
        if "://" in self.catalog:
            uri = _URI.fullmatch(self.catalog)
            return f"//{uri[1] if uri else '…'}"
        if not _PAIRS.fullmatch(self.catalog):
            return "…"
        pairs = re.findall(_PAIR, self.catalog)
        return " ".join(f"{name}={value}" for name, value in pairs if name in _SHOWN)

    @property
    def is_on_object_storage(self) -> bool:
        return "://" in self.data


@dataclass(frozen=True, slots=True)
class LocalLake(Lake):
    """A DuckLake of one machine: its catalog in the SQLite file `catalog`, an absolute path."""

    prefix: ClassVar[str] = LOCAL_LAKE

    @property
    def shown(self) -> str:
        return self.catalog


Location = Path | Lake


def location_of(
    text: str, data: str | None, env: Mapping[str, str | None], folder: Path = Path()
) -> Location:
    """The location that DERIBIT_WAREHOUSE and DERIBIT_WAREHOUSE_DATA name, relative to `folder`.
    Raises SettingsError, which repeats neither: even a malformed connection string contains a
    password."""
    prefix = next((each for each in (LAKE, LOCAL_LAKE) if text.startswith(each)), "")
    catalog = text.removeprefix(prefix)
    is_connection = bool(_CONNECTION.search(catalog))
    if prefix == LOCAL_LAKE and catalog and not is_connection:
        catalog = str((folder / catalog).absolute())
        place = _place_of(data or f"{catalog}.files", folder)
        return LocalLake(catalog, place, ObjectStorage.from_env(env))
    if not (prefix or is_connection or text.startswith("ducklake:")):
        if data:
            raise SettingsError(
                "DERIBIT_WAREHOUSE_DATA is for a DuckLake, and DERIBIT_WAREHOUSE names a file: "
                "unset it, or set DERIBIT_WAREHOUSE=ducklake:postgres:…"
            )
        return folder / text
    if prefix != LAKE:
        raise SettingsError(
            "DERIBIT_WAREHOUSE, or what is named in its place, must be a file, or a DuckLake whose "
            f"catalog is in PostgreSQL: {LAKE}host=… dbname=…, or in a file: {LOCAL_LAKE}…"
        )
    if not data:
        raise SettingsError(
            "A DuckLake needs a place for its Parquet files: set DERIBIT_WAREHOUSE_DATA to a "
            "folder or to s3://bucket/prefix."
        )
    place = _place_of(data, folder)
    if importlib.util.find_spec("psycopg2") is None:
        raise SettingsError(
            "A DuckLake needs a driver of PostgreSQL, which is missing: "
            "pip install psycopg2-binary brings it."
        )
    return Lake(catalog, place, ObjectStorage.from_env(env))


def _place_of(data: str, folder: Path) -> str:
    """The place of a lake's Parquet files."""
    if "://" not in data:
        data = str((folder / data).absolute())
    elif not re.match(r"s3://[^/@]+(/|$)", data):
        raise SettingsError("DERIBIT_WAREHOUSE_DATA must be a folder or s3://bucket/prefix.")
    return f"{data.rstrip('/')}/"
