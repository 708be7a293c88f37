"""The sandbox's methods: parameters in, JSON-RPC answers out. No HTTP here."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deribit_pipeline.sandbox import instrument_lists as instruments
from deribit_pipeline.sandbox import private
from deribit_pipeline.sandbox.account import Account
from deribit_pipeline.sandbox.funding import Funding
from deribit_pipeline.sandbox.known_listings import LISTINGS
from deribit_pipeline.sandbox.limits import CreditPool
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.market import DAY, EIGHT_HOURS, MINUTE, Market, Rows, rolled_up
from deribit_pipeline.sandbox.prices import Prices
from deribit_pipeline.sandbox.refusals import Refusal, invalid, milliseconds, required
from deribit_pipeline.sandbox.settlements import Settlements
from deribit_pipeline.sandbox.trade_methods import HISTORY, WWW, Trades
from deribit_pipeline.sandbox.volatility_index import VolatilityIndex

MOST_CANDLES = 5_001

REMEMBERED = 7 * DAY
"""How long after its expiry www still knows an instrument, in milliseconds; its own is unknown."""

CLIENT_ID, CLIENT_SECRET = "sandbox", "sandbox-secret"
TOKEN_LIFE = 900

STEPS = {str(m): m * MINUTE for m in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)} | {"1D": DAY}
Method = Callable[[Mapping[str, str]], Any]
"""Parameters in, a result out; raises Refusal."""

CHART_NAMES = ("open", "high", "low", "close", "volume", "cost")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and the JSON body to send under it."""

    status: int
    body: dict[str, Any]


class SandboxExchange:
    """The exchange. `clock` gives UTC seconds, so that tests decide what time it is.

    `requests` counts the calls answered, refused ones included, by method; `refused` those for
    want of credits. `anchor` is when candles of 180, 360 and 720 minutes open after midnight.
    `trades_per_minute` are those of a minute in which there are some.
    `key_scope` is what its one API key may do, and `account` whose key that is.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        per_second: float = 20.0,
        burst: int = 100,
        listings: tuple[Listing, ...] = LISTINGS,
        anchor: int = 0,
        trades_per_minute: float = 2.0,
    ) -> None:
        self.clock = clock
        self.requests: Counter[str] = Counter()
        self.refused = 0
        self._latest, self._within = 0, 0
        self._listings = {listing.instrument_name: listing for listing in listings}
        self._markets: dict[str, Market] = {}
        self._trades_per_minute = trades_per_minute
        self.trades = Trades(self)
        self.prices = Prices(self)
        self.settlements = Settlements(self)
        self.funding = Funding(self)
        self.volatility_index = VolatilityIndex(self)
        self.anchor = anchor
        self._pools = {
            "": CreditPool(per_second, burst),
            "history": CreditPool(per_second, burst),
            "public/get_instruments": CreditPool(1.0 if per_second else 0.0, 50),
            "private/get_transaction_log": CreditPool(1.0 if per_second else 0.0, 8),
        }
        self._tokens: dict[str, float] = {}
        self._refresh_tokens: dict[str, str] = {}
        self._scopes: dict[str, str] = {}
        self.key_scope = "account:read trade:read"
        self.account = Account()
        self._gaps: list[tuple[str, int, int]] = []
        self._revisions: dict[str, dict[int, float]] = {}
        self._methods: dict[str, Method] = {
            "public/test": lambda params: {"version": "1.2.26"},
            "public/get_time": lambda params: self.now_ms(),
            "public/status": lambda params: {"locked": "false"},
            "public/get_tradingview_chart_data": lambda params: self._get_chart(
                params, self.remembered(params)
            ),
            "public/auth": self._auth,
        }
        self._methods |= private.methods(self)
        # The archive host: trades and instruments since ever, and candles of what has expired.
        self._history_methods: dict[str, Method] = {
            "public/get_tradingview_chart_data": lambda params: self._get_chart(
                params, self.listing(params)
            ),
        }
        self._methods |= instruments.methods(self)
        self._history_methods |= instruments.history_methods(self)
        self._methods |= self.trades.methods(WWW)
        self._history_methods |= self.trades.methods(HISTORY)
        self._methods |= self.funding.methods() | self.volatility_index.methods()
        self._methods |= self.prices.methods() | self.settlements.methods()

    def lack(self, instrument_name: str, start_ms: int, end_ms: int) -> None:
        """Lose the one-minute candles that open in [start, end), as exchanges do."""
        self._gaps.append((instrument_name, start_ms, end_ms))

    def find(self, instrument_name: str) -> None:
        """Find the lost candles of an instrument again."""
        self._gaps = [gap for gap in self._gaps if gap[0] != instrument_name]

    def revise(self, instrument_name: str, tick_ms: int, volume: float) -> None:
        """Say from now on that this one-minute candle's volume was another."""
        self._revisions.setdefault(instrument_name, {})[tick_ms] = volume

    def replay(self, method: str, result: Any) -> None:
        """Answer a method with this result from now on, such as a recorded one."""
        self._methods[method] = lambda params: result

    def amend(self, method: str, amendment: Callable[[Any], Any]) -> None:
        """Answer a method from now on with what this makes of its result."""
        former = self._methods[method]
        self._methods[method] = lambda params: amendment(former(params))

    def answer(
        self,
        method: str,
        params: Mapping[str, str],
        token: str | None = None,
        *,
        of_history: bool = False,
    ) -> Reply:
        """Answer one call, on the archive host where it is `of_history`. `params` are texts, as a
        query string holds them."""
        came_in = self.clock()
        self.requests[method] += 1
        try:
            pool = "history" if of_history else method
            if not self._pools.get(pool, self._pools[""]).take():
                self.refused += 1
                raise Refusal(10028, "too_many_requests")
            methods = self._history_methods if of_history else self._methods
            handler = methods.get(method)
            if handler is None:
                raise Refusal(-32601, "Method not found")
            if method.startswith("private/") and not self._is_valid(token):
                raise Refusal(13009, "unauthorized", reason="invalid_token")
            if token is not None and not private.permits(self._scopes.get(token, ""), method):
                raise Refusal(13021, "forbidden")
            return Reply(200, self._envelope(came_in, result=handler(params)))
        except Refusal as refusal:
            return Reply(400, self._envelope(came_in, error=refusal.error))

    def _envelope(self, came_in: float, **content: Any) -> dict[str, Any]:
        us_in, us_out = int(came_in * 1e6), int(self.clock() * 1e6)
        # No two responses have all three times in common, not even while the clock stands still.
        if us_in <= self._latest:
            self._within += 1
            us_out = max(us_out, us_in + self._within)
        self._latest = max(self._latest, us_in)
        times = {"usIn": us_in, "usOut": us_out, "usDiff": us_out - us_in}
        return {"jsonrpc": "2.0", **content, "testnet": False, **times}

    def now_ms(self) -> int:
        """The exchange's clock in UTC milliseconds."""
        return int(self.clock() * 1000)

    def listing(self, params: Mapping[str, str]) -> Listing:
        """The instrument that a call names; refused where none is listed."""
        name = required(params, "instrument_name")
        listing = self._listings.get(name)
        if listing is None or listing.created_ms > self.now_ms():
            raise invalid("instrument_name", "instrument not found")
        return listing

    def listings(self) -> Iterator[Listing]:
        """Every instrument that was listed by now."""
        now = self.now_ms()
        return (listing for listing in self._listings.values() if listing.created_ms <= now)

    def is_remembered(self, listing: Listing) -> bool:
        """Whether www still knows an instrument: what expired it forgets, the archive does not."""
        return self.now_ms() < listing.expires_ms + REMEMBERED

    def remembered(self, params: Mapping[str, str]) -> Listing:
        """The instrument that a call to www names; refused where www does not know it."""
        listing = self.listing(params)
        if not self.is_remembered(listing):
            raise invalid("instrument_name", "instrument not found")
        return listing

    def _get_chart(self, params: Mapping[str, str], listing: Listing) -> dict[str, Any]:
        start, end = (milliseconds(params, name) for name in ("start_timestamp", "end_timestamp"))
        step = STEPS.get(required(params, "resolution"))
        if step is None:
            raise invalid("resolution", "unsupported resolution")
        if start > end:
            raise invalid("start_timestamp", "must be before end_timestamp")
        if listing.kind == "spot":
            raise Refusal(11060, "not_supported_for_coinbase_routed_spot")
        rows = self._candles(listing, start, end, step)[-MOST_CANDLES:]
        chart: dict[str, Any] = {
            "ticks": rows.ticks,
            "status": "ok" if len(rows.ticks) else "no_data",
        }
        for column, name in enumerate(CHART_NAMES):
            chart[name] = np.ascontiguousarray(rows.values[:, column])
        return chart

    def _candles(self, listing: Listing, start: int, end: int, step: int) -> Rows:
        """The candles that open in [start, end], the start floored to the candle it is in, the
        last one as far as it has come."""
        anchor = EIGHT_HOURS if step == DAY else self.anchor
        now = self.now_ms()
        last = (min(end, now) - anchor) // step * step + anchor
        first = (max(start, listing.created_ms) - anchor) // step * step + anchor
        first = max(first, last - MOST_CANDLES * step)  # older ones are dropped anyway
        minutes = self.market(listing).minutes(first, min(last + step, now + 1))
        return rolled_up(self._as_told(listing, minutes, now), step, anchor)

    def market(self, listing: Listing) -> Market:
        """The history of an instrument."""
        name = listing.instrument_name
        if name not in self._markets:
            self._markets[name] = Market(listing, self._trades_per_minute)
        return self._markets[name]

    def _as_told(self, listing: Listing, minutes: Rows, now: int) -> Rows:
        """The minutes as the exchange tells them now: the running one unfinished, some changed,
        some lost."""
        name, ticks, values = listing.instrument_name, minutes.ticks, minutes.values.copy()
        if len(ticks) and now < ticks[-1] + MINUTE:
            values[-1] = self.market(listing).unfinished(int(ticks[-1]), now)
        for tick, volume in self._revisions.get(name, {}).items():
            values[ticks == tick, 4] = volume
        is_there = np.ones(len(ticks), bool)
        for gap_name, start, end in self._gaps:
            if gap_name == name:
                is_there &= (ticks < start) | (ticks >= end)
        return Rows(ticks, values)[is_there]

    def _auth(self, params: Mapping[str, str]) -> dict[str, Any]:
        grant = required(params, "grant_type")
        if grant == "client_credentials":
            given = (required(params, "client_id"), required(params, "client_secret"))
            if given != (CLIENT_ID, CLIENT_SECRET):
                raise Refusal(13004, "invalid_credentials")
        elif grant == "refresh_token":
            former = self._refresh_tokens.pop(required(params, "refresh_token"), None)
            if former is None:
                raise Refusal(13004, "invalid_credentials")
            self._tokens.pop(former, None)
        else:
            raise invalid("grant_type", "unsupported grant_type")
        access, refresh = secrets.token_hex(24), secrets.token_hex(24)
        self._tokens[access] = self.clock() + TOKEN_LIFE
        self._refresh_tokens[refresh] = access
        self._scopes[access] = private.granted(params.get("scope"), self.key_scope)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": TOKEN_LIFE,
            "scope": self._scopes[access],
            "token_type": "bearer",
        }

    def _is_valid(self, token: str | None) -> bool:
        return token is not None and self.clock() < self._tokens.get(token, 0.0)
