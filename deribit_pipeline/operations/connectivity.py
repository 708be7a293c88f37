"""Whether all that a backfill needs is at hand: the exchange, credentials, the warehouse."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deribit_pipeline.domain import Environment
from deribit_pipeline.errors import DeribitError, DeribitPipelineError, WarehouseError
from deribit_pipeline.operations.exchange import Exchange, open_exchange
from deribit_pipeline.operations.listings import CLOCK_TOLERANCE
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.file import Warehouse

# A probe is to say how things are now, not after they have been mended.
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found about one thing; `detail` says what to do where it is not well."""

    name: str
    is_ok: bool
    detail: str


def probes(settings: Settings) -> list[Probe]:
    """Try everything once. Raises nothing that the exchange or the warehouse may cause."""
    made: list[Probe] = []
    try:
        with open_exchange(settings, _PATIENCE) as exchange:
            made += _of_exchange(exchange, settings)
    except DeribitPipelineError as error:
        made.append(Probe("reachable", False, f"{error}. {_remedy(settings)}"))
    return [*made, _of_warehouse(settings)]


def _of_exchange(exchange: Exchange, settings: Settings) -> Iterator[Probe]:
    client = exchange.client
    answer = exchange.run(client.test())
    yield Probe(
        "reachable",
        answer.http_status == 200,
        f"{exchange.source} answers with HTTP {answer.http_status} in "
        f"{answer.latency * 1000:.0f} ms",
    )
    yield Probe(
        "environment",
        True,  # an answer of another environment is an error of every call
        f"{settings.environment}, and the exchange says testnet="
        f"{settings.environment is Environment.TESTNET}",
    )
    yield _of_clock(datetime.now(UTC) - exchange.run(client.get_time()))
    locked = exchange.run(client.status())
    yield Probe(
        "platform",
        locked is None,
        "open" if locked is None else f"locked ({locked}): wait until the exchange opens again",
    )
    yield Probe(
        "limits",
        True,
        f"{settings.requests_per_second:g} calls a second after a burst of {settings.burst}, "
        f"{settings.concurrency} in flight",
    )
    if settings.client_id:
        yield _of_credentials(exchange)


def _of_clock(difference: timedelta) -> Probe:
    seconds = difference.total_seconds()
    advice = ""
    if abs(difference) > CLOCK_TOLERANCE:
        advice = ": set this machine's clock; the pipeline goes by the exchange's meanwhile"
    return Probe("clock", True, f"{seconds:+.1f} s from the exchange's{advice}")


def _of_credentials(exchange: Exchange) -> Probe:
    try:
        token = exchange.run(exchange.client.auth())
        exchange.run(exchange.client.get_account_summary("BTC"))
    except DeribitError as error:
        return Probe("credentials", False, str(error))
    return Probe(
        "credentials", True, f"accepted for {token.expires_in:.0f} s, and a private read answered"
    )


def _of_warehouse(settings: Settings) -> Probe:
    warehouse = Warehouse(settings.warehouse, settings.environment)
    try:
        warehouse.check()
    except WarehouseError as error:
        return Probe("warehouse", False, str(error))
    if not settings.warehouse.exists():
        return Probe("warehouse", True, f"{settings.warehouse} will be made by the first backfill")
    megabytes = settings.warehouse.stat().st_size / 1e6
    return Probe("warehouse", True, f"{settings.warehouse} opens, {megabytes:,.1f} MB")


def _remedy(settings: Settings) -> str:
    where = "DERIBIT_BASE_URL" if settings.base_url else "the network, or DERIBIT_ENV=sandbox"
    return f"Check {where}"
