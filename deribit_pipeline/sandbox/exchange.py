"""The sandbox's methods: parameters in, JSON-RPC answers out. No HTTP here."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deribit_pipeline.sandbox.limits import CreditPool
from deribit_pipeline.sandbox.listings import LISTINGS, Listing
from deribit_pipeline.sandbox.market import DAY, EIGHT_HOURS, MINUTE, Market, Rows, rolled_up
from deribit_pipeline.sandbox.refusals import Refusal, invalid, milliseconds, required

MOST_CANDLES = 5_001
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
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        per_second: float = 20.0,
        burst: int = 100,
        listings: tuple[Listing, ...] = LISTINGS,
        anchor: int = 0,
    ) -> None:
        self.clock = clock
        self.requests: Counter[str] = Counter()
        self.refused = 0
        self._listings = {listing.instrument_name: listing for listing in listings}
        self._markets: dict[str, Market] = {}
        self.anchor = anchor
        self._pools = {
            "": CreditPool(per_second, burst),
            "history": CreditPool(per_second, burst),
            "public/get_instruments": CreditPool(1.0 if per_second else 0.0, 50),
        }
        self._tokens: dict[str, float] = {}
        self._refresh_tokens: dict[str, str] = {}
        self._gaps: list[tuple[str, int, int]] = []
        self._revisions: dict[str, dict[int, float]] = {}
        self._methods: dict[str, Method] = {
            "public/test": lambda params: {"version": "1.2.26"},
            "public/get_time": lambda params: self.now_ms(),
            "public/status": lambda params: {"locked": "false"},
            "public/get_instrument": self._get_instrument,
            "public/get_instruments": self._get_instruments,
            "public/get_tradingview_chart_data": self._get_chart,
            "public/auth": self._auth,
            "private/get_account_summary": self._get_account_summary,
        }
        # The archive host: trades since ever, and nothing that is not about them.
        self._history_methods: dict[str, Method] = {}

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
            return Reply(200, self._envelope(came_in, result=handler(params)))
        except Refusal as refusal:
            return Reply(400, self._envelope(came_in, error=refusal.error))

    def _envelope(self, came_in: float, **content: Any) -> dict[str, Any]:
        us_in, us_out = int(came_in * 1e6), int(self.clock() * 1e6)
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

    def _get_instrument(self, params: Mapping[str, str]) -> dict[str, Any]:
        return self.listing(params).result(self.now_ms())

    def _get_instruments(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        currency = required(params, "currency")
        if currency not in ("BTC", "ETH", "USDC", "USDT", "EURR", "any"):
            raise invalid("currency", "invalid currency")
        now, kind = self.now_ms(), params.get("kind")
        is_expired = params.get("expired", "false") == "true"
        found = [
            listing.result(now)
            for listing in self._listings.values()
            if listing.created_ms <= now and is_expired == (listing.expires_ms <= now)
        ]
        return [
            result
            for result in found
            if kind in (None, result["kind"]) and currency in ("any", result["settlement_currency"])
        ]

    def _get_chart(self, params: Mapping[str, str]) -> dict[str, Any]:
        listing = self.listing(params)
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
            self._markets[name] = Market(listing)
        return self._markets[name]

    def _as_told(self, listing: Listing, minutes: Rows, now: int) -> Rows:
        """The minutes as the exchange tells them now: the running one unfinished, some changed,
        some lost."""
        name, ticks, values = listing.instrument_name, minutes.ticks, minutes.values.copy()
        if len(ticks) and now < ticks[-1] + MINUTE:
            opened, high, low, _, volume, cost = values[-1]
            close = (high + low) / 2
            part = (now - ticks[-1]) / MINUTE
            values[-1] = (
                opened,
                max(opened, close),
                min(opened, close),
                close,
                volume * part,
                cost * part,
            )
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
        return {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": TOKEN_LIFE,
            "scope": "account:read trade:read",
            "token_type": "bearer",
        }

    def _is_valid(self, token: str | None) -> bool:
        return token is not None and self.clock() < self._tokens.get(token, 0.0)

    def _get_account_summary(self, params: Mapping[str, str]) -> dict[str, Any]:
        currency = required(params, "currency")
        if currency not in ("BTC", "ETH", "USDC", "USDT", "EURR"):
            raise invalid("currency", "invalid currency")
        return {
            "currency": currency,
            "balance": 0.0,
            "equity": 0.0,
            "available_funds": 0.0,
            "available_withdrawal_funds": 0.0,
            "initial_margin": 0.0,
            "maintenance_margin": 0.0,
            "margin_balance": 0.0,
            "portfolio_margining_enabled": False,
        }
