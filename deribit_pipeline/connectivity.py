"""Checks that the exchange, clock, credentials, warehouse and recorder are in order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from deribit_pipeline.datasets.book_summaries.proof import RENEWAL
from deribit_pipeline.errors import (
    DeribitPipelineError,
    DeribitUnreachable,
    SettingsError,
    WrongEnvironment,
)
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.instruments.listings import CLOCK_TOLERANCE
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool

# A probe reports the current state, so it does not wait for recovery.
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of one check; `detail` has the remedy if it failed."""

    name: str
    is_ok: bool
    detail: str


def probes(settings: Settings) -> list[Probe]:
    """Run all checks once. Raises no error of the exchange or the warehouse, and SettingsError for
    a setting with which nothing can be checked."""
    anonymous = replace(settings, client_id=None, client_secret=None)
    made: list[Probe] = []
    try:
        with open_exchange(anonymous, _PATIENCE) as exchange:
            made += _of_reach(exchange, settings)
            made.append(_tried("clock", lambda: _of_clock(exchange)))
            made.append(_tried("platform", lambda: _of_platform(exchange)))
            made.append(_of_limits(settings))
        if settings.client_id:
            with open_exchange(settings, _PATIENCE) as exchange:
                made.append(_tried("credentials", lambda: _of_credentials(exchange)))
    except SettingsError:
        raise
    except DeribitPipelineError as error:
        made.append(Probe("reachable", False, f"{error}{_remedy(error, settings)}"))
    made.append(_tried("warehouse", lambda: _of_warehouse(settings)))
    return made + _of_recorder(spool_of(settings))


def recording(spool: Spool) -> str:
    """The recorder of a spool and its newest record. Raises DeribitPipelineError if the newest
    record of a stream is older than two slots, or there is none."""
    newest = {stream: spool.newest(stream) for stream in spool.streams()}
    process = spool.recorder()
    who = f"process {process} records" if process else "no process records"
    oldest = min((at for at in newest.values() if at is not None), default=None)
    if oldest is None or None in newest.values():
        raise DeribitPipelineError(f"{who} into {spool}, and nothing was received yet")
    age = datetime.now(UTC) - oldest
    last = f"{who} into {spool}, the newest record is of {oldest:%Y-%m-%d %H:%M:%S} UTC"
    if age > 2 * spool.every + RENEWAL:
        raise DeribitPipelineError(
            f"{last}, more than two slots ago: let `deribit-pipeline record` run"
        )
    return last


def _tried(name: str, probe: Callable[[], str]) -> Probe:
    try:
        return Probe(name, True, probe())
    except DeribitPipelineError as error:
        return Probe(name, False, str(error))


def _of_reach(exchange: Exchange, settings: Settings) -> list[Probe]:
    try:
        answer = exchange.run(exchange.client.test())
    except WrongEnvironment as error:
        return [
            Probe("reachable", True, f"{exchange.source} answers"),
            Probe("environment", False, error.reason),
        ]
    took = f"HTTP {answer.http_status} in {answer.latency * 1000:.0f} ms"
    return [
        Probe("reachable", answer.http_status == 200, f"{exchange.source} answers with {took}"),
        Probe("environment", True, f"{settings.environment}, as configured"),
    ]


def _of_clock(exchange: Exchange) -> str:
    difference = datetime.now(UTC) - exchange.run(exchange.client.get_time())
    advice = ""
    if abs(difference) > CLOCK_TOLERANCE:
        advice = ": set this machine's clock; the pipeline uses the exchange's meanwhile"
    return f"{round(difference.total_seconds(), 1) + 0.0:+.1f} s from the exchange's{advice}"


def _of_platform(exchange: Exchange) -> str:
    locked = exchange.run(exchange.client.status())
    if locked is not None:
        raise DeribitPipelineError(f"locked ({locked}): wait until the exchange opens again")
    return "open"


def _of_limits(settings: Settings) -> Probe:
    return Probe(
        "limits",
        True,
        f"{settings.requests_per_second:g} calls a second after a burst of {settings.burst}, "
        f"{settings.concurrency} in flight",
    )


def _of_credentials(exchange: Exchange) -> str:
    token = exchange.run(exchange.client.auth())
    exchange.run(exchange.client.get_account_summary("BTC"))
    advice = ""
    if token.missing_scopes:
        advice = (
            f": give it the scope {' '.join(token.missing_scopes)} too, for the account's history"
        )
    if token.writes:
        advice = f": it can do more than read ({', '.join(token.writes)}); use one that only reads"
    return f"accepted for {token.expires_in:.0f} s, and a private read succeeded{advice}"


def _of_recorder(spool: Spool) -> list[Probe]:
    """The recorder, where one was ever started."""
    try:
        return [Probe("recorder", True, recording(spool))] if spool.exists() else []
    except DeribitPipelineError as error:
        return [Probe("recorder", False, str(error))]


def _of_warehouse(settings: Settings) -> str:
    warehouse = warehouse_of(settings)
    warehouse.check()
    if not warehouse.exists():
        return f"{warehouse} will be made by the first backfill"
    return f"{warehouse} opens, {warehouse.size / 1e6:,.1f} MB"


def _remedy(error: DeribitPipelineError, settings: Settings) -> str:
    if isinstance(error, DeribitUnreachable):
        return ""  # the error ends with its own
    where = "DERIBIT_BASE_URL" if settings.base_url else "the network, or DERIBIT_ENV=sandbox"
    return f". Check {where}"
