"""Locations of warehouses: no password is shown, and none is mistaken for a file."""

import re
from pathlib import Path

import pytest

from deribit_pipeline.domain.location import (
    LAKE,
    LOCAL_LAKE,
    Lake,
    LocalLake,
    ObjectStorage,
    location_of,
)
from deribit_pipeline.errors import SettingsError

SECRET = "geheim"


@pytest.mark.parametrize(
    ("catalog", "shown"),
    [
        ("host=db port=5432 dbname=mainnet password=geheim", "host=db port=5432 dbname=mainnet"),
        ("host=db password='a dbname=geheim'", "host=db"),
        ("host=db password='a dbname=geheim", "…"),
        ("postgresql://db:5432/mainnet", "//db:5432/mainnet"),
        ("postgresql://me:geheim@[::1]:5432,db/mainnet", "//[::1]:5432,db/mainnet"),
        ("postgresql://me:geheim@db/mainnet?sslmode=require", "//db/mainnet"),
        ("postgresql://db/mainnet?user=me&password=geheim", "//db/mainnet"),
        ("postgresql://db?password=geheim", "//db"),
        ("postgresql://me:a@geheim@db/mainnet", "//db/mainnet"),
        # What may be read in two ways is not shown.
        ("postgresql://db/mainnet?user=me@corp&password=geheim", "//…"),
        ("postgresql://db/mainnet?password=ge@geheim", "//…"),
        ("postgresql://db?user=me@corp&password=geheim", "//…"),
        ("postgresql://db/mainnet&password=geheim", "//…"),
        ("postgresql://db/mainnet password=geheim", "//…"),
        ("postgresql://me:geheim/a@db/mainnet", "//…"),
        ("postgresql://me:geheim?a@db/mainnet", "//…"),
        ("postgresql://me:geheim#a@db/mainnet", "//…"),
        ("host=db password=a://geheim@b", "//…"),
    ],
)
def test_a_catalog_is_shown_without_its_password(catalog: str, shown: str) -> None:
    lake = Lake(catalog, "/lake/")
    assert str(lake) == LAKE + shown
    assert SECRET not in repr(lake)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:geheim@db/mainnet",
        "postgres:host=db password=geheim",
        "host=db password = geheim",
        "ducklake:host=db password=geheim",
        "Ducklake:postgres:host=db password=geheim",
    ],
)
def test_a_connection_string_is_no_file(text: str) -> None:
    output = f"or a DuckLake whose catalog is in PostgreSQL: {LAKE}host=… dbname=…"
    with pytest.raises(SettingsError, match=re.escape(output)) as caught:
        location_of(text, None, {})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        "https://me:geheim@store/bucket",
        "gs://geheim/lake",
        "s3://me:geheim@bucket/lake",
        "s3:///geheim",
        "s3://",
    ],
)
def test_files_are_in_a_folder_or_in_s3(data: str) -> None:
    with pytest.raises(SettingsError, match=r"a folder or s3://bucket/prefix\.") as caught:
        location_of(f"{LAKE}host=db", data, {})
    assert SECRET not in str(caught.value)


def test_neither_key_nor_token_of_the_store_is_shown() -> None:
    storage = ObjectStorage("http://store:9000", "eu", "id", secret=SECRET, token=f"{SECRET}-token")
    lake = Lake("host=db", "s3://bucket/lake/", storage)
    assert SECRET not in repr(lake) + str(lake)


def test_its_files_are_beside_it_unless_they_are_named(tmp_path: Path) -> None:
    for data, place in (
        (None, f"{tmp_path}/data/x.sqlite.files/"),
        ("lake", f"{tmp_path}/lake/"),
        ("s3://bucket/x", "s3://bucket/x/"),
    ):
        lake = location_of(f"{LOCAL_LAKE}data/x.sqlite", data, {}, tmp_path)
        assert isinstance(lake, LocalLake)
        assert (lake.catalog, lake.data) == (f"{tmp_path}/data/x.sqlite", place)
        assert str(lake) == f"{LOCAL_LAKE}{tmp_path}/data/x.sqlite"


@pytest.mark.parametrize("catalog", ["", "postgresql://me:geheim@db/x", "host=db password=geheim"])
def test_a_connection_string_is_no_catalog_in_a_file(catalog: str) -> None:
    with pytest.raises(SettingsError, match="or in a file: ducklake:sqlite:…") as caught:
        location_of(LOCAL_LAKE + catalog, None, {})
    assert SECRET not in str(caught.value)
