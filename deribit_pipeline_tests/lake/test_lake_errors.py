"""Errors of an unusable lake: one sentence with a remedy, and never a password."""

import logging
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, ObjectStorage, location_of
from deribit_pipeline.errors import DeribitPipelineError, SettingsError
from deribit_pipeline.lake.attached import forget
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.disks import Disk
from deribit_pipeline_tests.helpers.lakes import by_hand, requested
from deribit_pipeline_tests.helpers.processes import environment, script
from deribit_pipeline_tests.helpers.servers import ObjectStore, Postgres

FORMS = pytest.mark.parametrize("form", ["postgresql://", "key=value"])
AWAY = "LakeAway: {} cannot be reached ("
REFUSED = "WarehouseUnusable: {} is refused ("
SECRETS = (Postgres.PASSWORD, ObjectStore.secret)
MANY_CANDLES = """
    insert into candles
    select 'BTC-PERPETUAL', '1', make_timestamptz(i * 60000000), random(), random(), random(),
           random(), random(), random()
    from range(200000) minutes (i)
"""


def in_form(form: str, catalog: str, **changed: str) -> str:
    """A connection string with other parts, in one of the forms that libpq takes."""
    parts = parse_dsn(catalog) | changed
    if form == "key=value":
        return str(make_dsn(**parts))
    whose = f"{parts['user']}:{quote(parts['password'])}"
    return f"postgresql://{whose}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def opened(lake: Lake, environment: Environment = Environment.SANDBOX) -> Warehouse:
    return warehouse_at(lake, environment, patience=0.2)


def look(lake: Lake) -> None:
    with opened(lake).reading() as connection:
        connection.execute("select sum(open) from candles").fetchall()


def write(lake: Lake) -> None:
    with opened(lake).writing() as connection:
        connection.execute(MANY_CANDLES)


def complaint(work: Callable[[], object]) -> str:
    """The error message of a call; checks that nothing in its log is secret."""
    with pytest.raises(DeribitPipelineError) as caught:
        work()
    logged = logging.Formatter().formatException(
        (caught.type, caught.value, caught.value.__traceback__)
    )
    for secret in SECRETS:
        assert secret not in logged + "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)
    return f"{caught.type.__name__}: {caught.value}"


@FORMS
@pytest.mark.parametrize(
    ("changed", "begins", "output"),
    [
        ({"password": f"wrong-{Postgres.PASSWORD}"}, REFUSED, "password authentication failed"),
        ({"dbname": "nowhere"}, REFUSED, 'database "nowhere" does not exist'),
        ({"user": "nobody"}, REFUSED, "password authentication failed"),
        ({"port": "1"}, AWAY, "Connection refused"),
    ],
)
def test_a_catalog_that_cannot_be_reached(
    lake: Lake, form: str, changed: dict[str, str], begins: str, output: str
) -> None:
    wrong = replace(lake, catalog=in_form(form, lake.catalog, **changed))
    for work in (opened(wrong).check, lambda: look(wrong), lambda: write(wrong)):
        sentence = complaint(work)
        assert sentence.startswith(begins.format(wrong))
        assert output in sentence


def test_a_catalog_on_a_machine_that_nobody_knows(lake: Lake) -> None:
    wrong = replace(lake, catalog=in_form("postgresql://", lake.catalog, host="nowhere.invalid"))
    sentence = complaint(opened(wrong).check)
    assert sentence.startswith(AWAY.format(wrong))
    # The first is the error of a resolver, the second that of a machine without one.
    assert re.search("not known|Temporary failure in name resolution", sentence)


@FORMS
def test_what_duckdb_says_of_a_catalog_shows_no_password(
    lake: Lake, form: str, postgres: Postgres
) -> None:
    """Messages of PostgreSQL repeat the connection string."""
    warehouse = opened(replace(lake, catalog=in_form(form, lake.catalog)))
    with warehouse.writing():
        pass
    forget()
    postgres.kill()
    sentence = complaint(warehouse.reading().__enter__)
    assert sentence.startswith(AWAY.format(warehouse))


@pytest.mark.parametrize(
    "catalog",
    [
        f"host=127.0.0.1 password={Postgres.PASSWORD} dbname",
        f"host='127.0.0.1 password={Postgres.PASSWORD}",
        f"postgresql://deribit:{Postgres.PASSWORD}@[::1/x",
        f"postgresql://deribit@127.0.0.1/x?secret={Postgres.PASSWORD}",
    ],
)
def test_a_connection_string_that_is_none(lake: Lake, catalog: str) -> None:
    sentence = complaint(opened(replace(lake, catalog=catalog)).check)
    assert sentence.startswith("SettingsError: DERIBIT_WAREHOUSE has a connection string")


def test_files_that_are_elsewhere(lake: Lake, tmp_path: Path) -> None:
    write(lake)
    sentence = complaint(opened(replace(lake, data=f"{tmp_path}/other/")).check)
    assert "keeps its files elsewhere than DERIBIT_WAREHOUSE_DATA says" in sentence


def test_files_whose_folder_is_not_there(lake: Lake, tmp_path: Path) -> None:
    with opened(lake).writing():
        pass
    (tmp_path / "lake").rename(tmp_path / "gone")
    assert "is not there or read-only" in complaint(opened(lake).check)


@pytest.mark.parametrize("folder", ["/proc/nowhere/", "/dev/null/"])
def test_a_folder_that_cannot_be_made(lake: Lake, folder: str) -> None:
    for work in (
        opened(replace(lake, data=folder)).check,
        lambda: write(replace(lake, data=folder)),
    ):
        assert f"The folder {folder} cannot be made" in complaint(work)


def test_a_full_disk_keeps_what_a_lake_holds(lake: Lake, disk: Disk) -> None:
    full = replace(lake, data=f"{disk.path}/")
    write(full)
    disk.leave(1_000_000)
    assert f"the disk of {full.data} is full" in complaint(lambda: write(full))
    with opened(full).reading() as connection:
        assert connection.execute("select count(*) from candles").fetchall() == [(200_000,)]
    disk.leave(60_000_000)
    write(full)


def test_a_lake_of_another_environment(lake: Lake) -> None:
    write(lake)
    sentence = complaint(opened(lake, Environment.MAINNET).check)
    assert "is the warehouse of sandbox, and DERIBIT_ENV is mainnet" in sentence


def test_a_lake_of_another_program(lake: Lake) -> None:
    Path(lake.data).mkdir()
    with by_hand(lake) as theirs:
        theirs.execute("create table theirs (a integer)")
    for work in (opened(lake).check, lambda: write(lake)):
        assert "is a database of another program" in complaint(work)
    with by_hand(lake) as theirs:
        assert theirs.execute("show tables").fetchall() == [("theirs",)]


@pytest.mark.parametrize("version", ["0.3", "2.0"])
def test_a_catalog_of_another_version_of_ducklake(lake: Lake, version: str) -> None:
    write(lake)
    statement = "update ducklake_metadata set value = %s where key = 'version'"
    requested(lake.catalog, statement, version)
    forget()
    sentence = complaint(opened(lake).check)
    assert f"catalog version is {version}" in sentence
    assert "is of another version of DuckLake than duckdb" in sentence


def test_a_command_says_it_in_one_line_and_shows_no_password(
    settings: Settings, lake: Lake, postgres: Postgres
) -> None:
    wrong = replace(lake, catalog=in_form("key=value", lake.catalog, dbname="nowhere"))
    variables = environment(replace(settings, warehouse=wrong))
    for command in (["backfill", "--start", "2024-01-01"], ["coverage"]):
        output = script(*command, env=variables, cwd=settings.dagster_home.parent)
        assert output.returncode == 2
        [line] = output.stderr.splitlines()
        assert line.startswith("Error: ducklake:postgres:")
        assert postgres.PASSWORD not in output.stdout + output.stderr


def on(store: ObjectStore, lake: Lake, **changed: str) -> Lake:
    """The lake on an object store."""
    storage = ObjectStorage(store.endpoint, store.region, store.key_id, store.secret)
    return replace(lake, data=f"{store.prefix()}/", storage=replace(storage, **changed))


@pytest.mark.parametrize(
    "changed", [{"secret": f"wrong-{ObjectStore.secret}"}, {"key_id": "nobody"}]
)
def test_a_store_that_does_not_take_the_key(
    lake: Lake, store: ObjectStore, changed: dict[str, str]
) -> None:
    wrong = on(store, lake, **changed)
    for work in (opened(wrong).check, lambda: write(wrong), opened(wrong).check):
        assert "the key of AWS_ACCESS_KEY_ID may read and write it" in complaint(work)


def test_a_bucket_that_is_not_there(lake: Lake, store: ObjectStore) -> None:
    wrong = replace(on(store, lake), data="s3://nowhere/prefix/")
    for work in (opened(wrong).check, lambda: write(wrong)):
        assert "check that its bucket exists" in complaint(work)


def test_a_store_that_does_not_answer(lake: Lake, store: ObjectStore) -> None:
    away = on(store, lake, endpoint="http://127.0.0.1:1")
    for work in (opened(away).check, lambda: write(away)):
        assert complaint(work).startswith("LakeAway: ")


def test_a_machine_that_has_no_key(
    lake: Lake, store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    without = replace(on(store, lake), storage=ObjectStorage(store.endpoint, store.region))
    assert "the key of AWS_ACCESS_KEY_ID may read and write it" in complaint(opened(without).check)


def test_an_installation_without_the_driver_is_shown_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(SettingsError, match="pip install psycopg2-binary"):
        location_of("ducklake:postgres:host=nowhere password=hidden", "/nowhere/", {})
