"""The exchange's methods in our words: windows in, candles and instruments out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import httpx

from deribit_pipeline.datasets.account.wire import LOG, Account
from deribit_pipeline.datasets.candles import wire as parse
from deribit_pipeline.datasets.funding_rates.wire import Funding
from deribit_pipeline.datasets.rolling.wire import Prices
from deribit_pipeline.datasets.settlements.wire import Settlements
from deribit_pipeline.datasets.trades.calls import Trades
from deribit_pipeline.datasets.volatility_index.wire import VolatilityIndex
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import TimeWindow, from_ms, to_ms
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange import shapes
from deribit_pipeline.exchange.auth import Credentials, Token
from deribit_pipeline.exchange.credits import Credits, Meters, file_meter
from deribit_pipeline.exchange.envelope import Stamp
from deribit_pipeline.exchange.methods import parsed
from deribit_pipeline.exchange.proxies import http_client, proxy_of
from deribit_pipeline.exchange.retries import PATIENCE
from deribit_pipeline.exchange.rpc import Answer, Rpc
from deribit_pipeline.exchange.transport import MEBIBYTE, Bounds, Root
from deribit_pipeline.instruments.wire import INSTRUMENTS, Specifications

CHART = "public/get_tradingview_chart_data"

TIMEOUT = 30.0
"""Seconds to wait for a whole answer, as Deribit recommends."""

# The archive's list of a currency has every option since 2016.
_LISTS = 4
_MOST_OF_A_LIST = 256 * MEBIBYTE

# A connection that takes 10 s to open will not carry candles either.
_CONNECTING = 10.0


@dataclass(frozen=True, slots=True)
class Chart:
    """The candles of one answer, as they came, and the exchange's clock when it was asked
    (assumption:envelope). `stamp` is the answer's: one that has another is no copy of it."""

    candles: Candles
    as_of: datetime
    stamp: Stamp | None = None


class DeribitClient(Account, Specifications, Funding, VolatilityIndex, Trades, Prices, Settlements):
    """The methods this project calls. Each raises a DeribitError."""

    async def test(self) -> Answer:
        """`public/test`: `{version}`. Costs the exchange nothing; its latency is the network's."""
        return await self.rpc.call("public/test")

    async def get_time(self) -> datetime:
        """`public/get_time`: the exchange's clock, to the millisecond."""
        method = "public/get_time"
        answer = await self.rpc.call(method)
        return parsed(answer.result, lambda ms: from_ms(shapes.milliseconds("time", ms)), method)

    async def status(self) -> str | None:
        """`public/status`: what is locked, `partial` or `true`; None while all is open."""
        method = "public/status"
        answer = await self.rpc.call(method)
        return parsed(answer.result, parse.locked, method)

    async def get_instrument(self, instrument_name: str) -> Instrument:
        """`public/get_instrument`. Raises UnknownInstrument for what is not listed."""
        method = "public/get_instrument"
        answer = await self.rpc.call(method, instrument_name=instrument_name)
        instrument = parsed(
            answer.result, parse.instrument, method, instrument_name=instrument_name
        )
        if instrument.instrument_name != instrument_name:
            raise DeribitBadPayload(
                f"the answer is for {instrument.instrument_name}",
                method=method,
                params={"instrument_name": instrument_name},
            )
        return instrument

    async def get_tradingview_chart_data(
        self, instrument_name: str, resolution: Resolution, window: TimeWindow
    ) -> Chart:
        """`public/get_tradingview_chart_data`: the candles that open in `window`.

        The exchange drops the oldest beyond 5,001 without a word, and includes the candle that
        is still open (assumption:candles-running): whoever asks counts what came.
        """
        params = {
            "instrument_name": instrument_name,
            "start_timestamp": to_ms(window.start),
            "end_timestamp": to_ms(window.end) - 1,  # inclusive: assumption:candles-end
            "resolution": resolution.value,
        }
        answer = await self.rpc.call(CHART, **params)
        candles = parsed(answer.result, parse.candles, CHART, **params)
        return Chart(candles, answer.as_of, answer.stamp)

    async def auth(self) -> Token:
        """`public/auth` with the client credentials. Other calls renew their token themselves."""
        return await self.rpc.authenticate()

    async def get_account_summary(self, currency: str) -> Answer:
        """`private/get_account_summary`: needs credentials with the scope `account:read`."""
        return await self.rpc.call("private/get_account_summary", currency=currency)


@asynccontextmanager
async def deribit_client(
    base_url: str,
    environment: Environment,
    *,
    requests_per_second: float,
    burst: int,
    concurrency: int,
    credentials: Credentials | None = None,
    timeout: float = TIMEOUT,
    patience: float = PATIENCE,
    host: str = "",
    meters: Meters = file_meter,
) -> AsyncIterator[DeribitClient]:
    """A client of the exchange at `base_url`, with as many kept connections as calls in flight.

    `host` tells the sandbox's hosts apart, which are metered apart; `history` is the archive. An
    answer must be there within `timeout` seconds, and the list of instruments within four times as
    many. `meters` keep the rate limit. Raises SettingsError where a proxy or certificates are named
    that cannot be used.
    """
    # All who share the meters share one pool, although the exchange has one for each address or
    # account: no caller knows the address that the exchange sees, nor whose account a key opens.
    # A sandbox of one's own has another port each time, and shares its limit all the same.
    source = f"{environment} {host}" if environment is Environment.SANDBOX else base_url
    pools = {
        "": Credits(meters(source, "calls"), per_second=requests_per_second, burst=burst),
        # The list of instruments is 5 MB, and metered apart: 1 call a second after a burst of 50
        # (assumption:limits-lists).
        INSTRUMENTS: Credits(meters(source, "instruments"), per_second=1.0, burst=50),
        # A call costs 10,000 of 80,000 credits, of which 10,000 come back in a second.
        LOG: Credits(meters(source, "transaction_log"), per_second=1.0, burst=8),
    }
    root = Root(base_url, is_archive=host == "history", proxy=proxy_of(base_url))
    bounds = {"": Bounds(timeout), INSTRUMENTS: Bounds(_LISTS * timeout, _MOST_OF_A_LIST)}
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    waits = httpx.Timeout(timeout, connect=min(timeout, _CONNECTING))
    async with http_client(base_url, root.proxy, timeout=waits, limits=limits) as http:
        yield DeribitClient(
            Rpc(
                http,
                is_testnet=environment is Environment.TESTNET,
                concurrency=concurrency,
                pools=pools,
                credentials=credentials,
                patience=patience,
                root=root,
                bounds=bounds,
            )
        )
