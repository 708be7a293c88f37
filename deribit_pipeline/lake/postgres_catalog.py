"""A lake's catalog in PostgreSQL, for several machines."""

from deribit_pipeline.lake.postgres_locks import PostgresLocks
from deribit_pipeline.lake.postgres_queries import answered, connected


class PostgresCatalog(PostgresLocks):
    """The catalog in a database, with its locks; see `Catalog`. DuckLake creates it, and the
    database decides who may read it."""

    def exists(self) -> bool:
        with connected(self._lake) as connection:
            [(is_there,)] = answered(
                connection, "select to_regclass('ducklake_metadata') is not null"
            )
        return bool(is_there)

    def require_makeable(self) -> None:
        pass

    def make(self) -> None:
        pass

    def keep_private(self) -> None:
        pass
