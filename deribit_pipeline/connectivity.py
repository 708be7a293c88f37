"""Checks that the exchange, clock, credentials, warehouse and recorder are in order."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.book_summaries.proof import RENEWAL
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.errors import (
    DeribitPipelineError,
    DeribitUnreachable,
    SettingsError,
    WrongEnvironment,
)
from deribit_pipeline.exchange.session import Exchange, spool_of
from deribit_pipeline.exchange.websocket_probe import probe_websocket
from deribit_pipeline.instruments.listings import CLOCK_TOLERANCE
from deribit_pipeline.opening import open_exchange, warehouse_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool
from deribit_pipeline.spool.spool_entries import ALIVE, CONNECTED, DISCONNECTED
from deribit_pipeline.spool.stream_state import StreamState, stream_state

# A probe reports the current state, so it does not wait for recovery.
_PATIENCE = 3.0

# How old the newest record of trades may be.
_QUIET = timedelta(seconds=90)


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
            made.append(_tried("websocket", lambda: _of_websocket(exchange)))
        if settings.client_id:
            with open_exchange(settings, _PATIENCE) as exchange:
                made.append(_tried("credentials", lambda: _of_credentials(exchange)))
    except SettingsError:
        raise
    except DeribitPipelineError as error:
        made.append(Probe("reachable", False, f"{error}{_remedy(error, settings)}"))
    made.append(_tried("warehouse", lambda: _of_warehouse(settings)))
    return made + _of_recorder(spool_of(settings))


def recording(spool: Spool, datasets: Collection[str] = ()) -> str:
    """The recorder of a spool and its newest record, of some datasets, or of all. Raises
    DeribitPipelineError if the newest record of a stream is too old, or there is none.

    Snapshots may be two slots old, trades 90 s: a quiet stream too is marked every 30 s. A stream
    that its recorder stopped, or that a later process does not record, does not count while others
    are recorded.
    """
    streams = [
        each for each in spool.streams() if not datasets or each.partition("/")[0] in datasets
    ]
    states = {stream: stream_state(spool, stream) for stream in streams}
    sessions = [each.facts.get("session_us", 0) for each in states.values()]
    current = {
        name: each
        for name, each in states.items()
        if not each.is_stopped and each.facts.get("session_us", max(sessions)) == max(sessions)
    } or states
    process = spool.recorder()
    who = f"process {process} records" if process else "no process records"
    newest = [each.as_of for each in current.values() if each.as_of]
    if not newest or len(newest) < len(current):
        missing = [stream for stream, each in current.items() if each.as_of is None]
        what = f" of {', '.join(missing)}" if newest else ""
        raise DeribitPipelineError(f"{who} into {spool}, and nothing{what} was received yet")
    last = f"{who} into {spool}, the newest record is of {max(newest):%Y-%m-%d %H:%M:%S} UTC"
    now = datetime.now(UTC)
    for stream, state in current.items():
        assert state.as_of is not None
        if now - state.as_of > _most_age(spool, stream):
            raise DeribitPipelineError(
                f"{last}, and that of {stream} of {state.as_of:%Y-%m-%d %H:%M:%S}"
                f"{_lost(state)}: let `deribit-pipeline record` run"
            )
    return last + _of_connection(current)


def _most_age(spool: Spool, stream: str) -> timedelta:
    is_of_snapshots = stream.startswith(f"{BOOK_SUMMARIES.name}/")
    return 2 * spool.every + RENEWAL if is_of_snapshots else _QUIET


def _lost(state: StreamState) -> str:
    return f" ({state.facts['reason']})" if state.event == DISCONNECTED else ""


def _of_connection(states: Mapping[str, StreamState]) -> str:
    """The connection by which trades are recorded, in words; empty if none are."""
    found = [each for stream, each in states.items() if stream.startswith(f"{TRADES.name}/")]
    marked = [each for each in found if each.facts]
    if not marked:
        return ""
    state = max(marked, key=lambda each: each.as_of or from_ms(0))
    facts = state.facts
    is_connected = state.event in (CONNECTED, ALIVE)
    text = "; trades: " + ("connected" if is_connected else f"not connected{_lost(state)}")
    text += f", {facts.get('connection', 1) - 1:,} reconnects since the start"
    if facts.get("median_ms") is not None:
        text += f", {facts['median_ms']:,.0f} ms to the disk (p99 {facts['p99_ms']:,.0f} ms)"
    return text


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


def _of_websocket(exchange: Exchange) -> str:
    assert exchange.websocket is not None
    latency = exchange.run(probe_websocket(exchange.websocket, _PATIENCE))
    url = exchange.websocket.root
    return f"{url} answers in {latency * 1000:.0f} ms and subscribes a channel"


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
