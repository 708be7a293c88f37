"""Opens what the settings name: the warehouse and the exchange.

This is the only module that imports the extras: the lake, which needs DuckDB's extensions, and the
built-in sandbox, which needs a web server. Both are imported on first use.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, LocalLake, Location
from deribit_pipeline.engine.series_proofs import hash_everything
from deribit_pipeline.exchange.client import TIMEOUT
from deribit_pipeline.exchange.rate_limiter import TokenBuckets, file_bucket
from deribit_pipeline.exchange.retries import PATIENCE as REQUEST_PATIENCE
from deribit_pipeline.exchange.session import Exchange, session
from deribit_pipeline.settings import EXCHANGE_URLS, Settings
from deribit_pipeline.warehouse.place import Store
from deribit_pipeline.warehouse.warehouse import PATIENCE, Warehouse


def warehouse_of(settings: Settings, *, patience: float = PATIENCE) -> Warehouse:
    """The warehouse that the settings name; `patience` is in seconds."""
    return warehouse_at(settings.warehouse, settings.environment, patience=patience)


def warehouse_at(
    location: Location,
    environment: Environment,
    *,
    patience: float = PATIENCE,
    is_foreign: bool = False,
) -> Warehouse:
    """The warehouse at a location, a file or a lake; see `Warehouse`."""
    if not isinstance(location, Lake):
        return Warehouse(
            location,
            environment,
            patience=patience,
            is_foreign=is_foreign,
            hash_proofs=hash_everything,
        )
    return Warehouse(_lake_store(location, patience), environment, hash_proofs=hash_everything)


def _lake_store(lake: Lake, patience: float) -> Store:
    from deribit_pipeline.lake.store import LakeStore

    if isinstance(lake, LocalLake):
        from deribit_pipeline.lake.sqlite_catalog import SqliteCatalog

        return LakeStore(lake, SqliteCatalog, patience)
    from deribit_pipeline.lake.postgres_catalog import PostgresCatalog

    return LakeStore(lake, PostgresCatalog, patience)


@contextmanager
def open_exchange(
    settings: Settings, patience: float = REQUEST_PATIENCE, timeout: float = TIMEOUT
) -> Iterator[Exchange]:
    """The exchange that the settings name. The built-in sandbox is started, unless the settings
    have its URL.

    `patience` is how many seconds a failing request is retried, `timeout` how many to wait for a
    response.
    """
    with ExitStack() as stack:
        url = settings.base_url or EXCHANGE_URLS.get(settings.environment)
        if url is None:
            from deribit_pipeline.sandbox.server import serving

            url = stack.enter_context(serving())
        buckets = stack.enter_context(buckets_beside(settings.warehouse))
        opened = session(settings, url, buckets, patience=patience, timeout=timeout)
        yield stack.enter_context(opened)


def buckets_beside(warehouse: Location) -> AbstractContextManager[TokenBuckets]:
    """The state of the rate limit that the warehouse's writers share: one machine, or a lake's
    machines."""
    if not isinstance(warehouse, Lake) or isinstance(warehouse, LocalLake):
        return nullcontext(file_bucket)
    from deribit_pipeline.lake.shared_rate_limit import shared_buckets

    return shared_buckets(warehouse.catalog)
