"""The servers of the tests are real: they require passwords and keep what they confirmed."""

from contextlib import closing

import duckdb
import psycopg2
import pytest

from deribit_pipeline.lake import extensions
from deribit_pipeline_tests.helpers.servers import ObjectStore, Postgres


def test_postgres_keeps_what_it_confirmed_when_it_is_killed(
    postgres: Postgres, database: str
) -> None:
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("create table days (day date)")
        cursor.execute("insert into days values ('2024-01-01')")
        connection.commit()
        cursor.execute("insert into days values ('2024-01-02')")
        postgres.kill()
        with pytest.raises(psycopg2.OperationalError):
            connection.commit()
    postgres.start()
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from days")
        assert cursor.fetchone() == (1,)


def test_postgres_requires_the_password(database: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(database.replace(Postgres.PASSWORD, "another"))


def connected(store: ObjectStore, secret: str) -> duckdb.DuckDBPyConnection:
    """A connection that reads and writes the store."""
    connection = duckdb.connect()
    extensions.load(connection, "httpfs")
    connection.execute(
        f"create secret (type s3, key_id '{store.key_id}', secret '{secret}', "
        f"region '{store.region}', endpoint '{store.endpoint.removeprefix('http://')}', "
        "url_style 'path', use_ssl false)"
    )
    return connection


def test_the_store_keeps_its_objects_when_it_is_killed(store: ObjectStore) -> None:
    file = f"{store.prefix()}/rows.parquet"
    with connected(store, store.secret) as connection:
        connection.execute(f"copy (from range(1000)) to '{file}'")
        store.kill()
        with pytest.raises(duckdb.IOException):
            connection.execute(f"select count(*) from '{file}'")
        store.start()
        assert connection.execute(f"select count(*) from '{file}'").fetchone() == (1000,)
    assert (store.folder / file.removeprefix(f"s3://{store.bucket}/")).is_file()


def test_the_store_requires_the_secret(store: ObjectStore) -> None:
    with (
        connected(store, "another") as connection,
        pytest.raises(duckdb.HTTPException, match="403"),
    ):
        connection.execute(f"from glob('{store.prefix()}/**')")
