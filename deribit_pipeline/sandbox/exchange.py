"""The sandbox's methods, from parameters to JSON-RPC responses, without HTTP."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deribit_pipeline.sandbox import instrument_lists as instruments
from deribit_pipeline.sandbox import private
from deribit_pipeline.sandbox.account import Account
from deribit_pipeline.sandbox.book_summaries import BookSummaries
from deribit_pipeline.sandbox.charts import Charts
from deribit_pipeline.sandbox.funding import Funding
from deribit_pipeline.sandbox.limits import CreditPool
from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.prices import Prices
from deribit_pipeline.sandbox.refusals import Refusal, invalid, required
from deribit_pipeline.sandbox.rush import Rush
from deribit_pipeline.sandbox.settlements import Settlements
from deribit_pipeline.sandbox.trade_methods import HISTORY, WWW, Trades
from deribit_pipeline.sandbox.volatility_index import VolatilityIndex
from deribit_pipeline.sandbox.world import Method, World

CLIENT_ID, CLIENT_SECRET = "sandbox", "sandbox-secret"
TOKEN_LIFE = 900


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and the JSON body to send under it."""

    status: int
    body: dict[str, Any]


class SandboxExchange(World):
    """The exchange. `clock` returns UTC seconds, so that tests decide the time.

    `requests` counts the calls by method, refused ones included; `refused` those over the rate
    limit. `key_scope` is the scope of its only API key, which belongs to `account`.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        per_second: float = 20.0,
        burst: int = 100,
        listings: tuple[Listing, ...] | None = None,
        trades_per_minute: float = 2.0,
        rush: Rush | None = None,
        more_listings: tuple[Listing, ...] = (),
    ) -> None:
        super().__init__(clock, listings, trades_per_minute, rush, more_listings)
        self.requests: Counter[str] = Counter()
        self.refused = 0
        self._latest, self._within = 0, 0
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
        self.charts = Charts(self)
        self.trades = Trades(self)
        self.prices = Prices(self)
        self.settlements = Settlements(self, self.prices)
        self.funding = Funding(self)
        self.book_summaries = BookSummaries(self, self.funding)
        self.volatility_index = VolatilityIndex(self)
        self._methods: dict[str, Method] = {
            "public/test": lambda params: {"version": "1.2.26"},
            "public/get_time": lambda params: self.now_ms(),
            "public/status": lambda params: {"locked": "false"},
            "public/auth": self._auth,
            **private.methods(self, self.account),
            **instruments.methods(self),
            **self.charts.methods(),
            **self.trades.methods(WWW),
            **self.funding.methods(),
            **self.volatility_index.methods(),
            **self.prices.methods(),
            **self.settlements.methods(),
            **self.book_summaries.methods(),
        }
        # The archive host: all trades and instruments, and candles of expired instruments.
        self._history_methods: dict[str, Method] = {
            **self.charts.history_methods(),
            **instruments.history_methods(self),
            **self.trades.methods(HISTORY),
        }

    def replay(self, method: str, result: Any) -> None:
        """Return this result, such as a recorded one, for a method from now on."""
        self._methods[method] = lambda params: result

    def amend(self, method: str, amendment: Callable[[Any], Any]) -> None:
        """Apply this function to the results of a method from now on."""
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
        """Answer one call, on the archive host if `of_history`. `params` are strings, as in a query
        string."""
        came_in = self.clock()
        self.requests[method] += 1
        try:
            pool = "history" if of_history else method
            if not self._pools.get(pool, self._pools[""]).acquire():
                self.refused += 1
                raise Refusal(10028, "too_many_requests")
            methods = self._history_methods if of_history else self._methods
            handler = methods.get(method)
            if handler is None:
                raise Refusal(-32601, "Method not found")
            if method.startswith("private/") and not self.is_valid(token):
                raise Refusal(13009, "unauthorized", reason="invalid_token")
            if token is not None and not private.permits(self._scopes.get(token, ""), method):
                raise Refusal(13021, "forbidden")
            return Reply(200, self.envelope(came_in, result=handler(params)))
        except Refusal as refusal:
            return Reply(400, self.envelope(came_in, error=refusal.error))

    def envelope(self, came_in: float, **content: Any) -> dict[str, Any]:
        """A JSON-RPC response to a call that came in at this time, in UTC seconds."""
        us_in, us_out = int(came_in * 1e6), int(self.clock() * 1e6)
        # No two responses have the same three times, not even while the clock stands still.
        if us_in <= self._latest:
            self._within += 1
            us_out = max(us_out, us_in + self._within)
        self._latest = max(self._latest, us_in)
        times = {"usIn": us_in, "usOut": us_out, "usDiff": us_out - us_in}
        return {"jsonrpc": "2.0", **content, "testnet": False, **times}

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

    def is_valid(self, token: str | None) -> bool:
        """Whether an access token was granted and has not expired."""
        return token is not None and self.clock() < self._tokens.get(token, 0.0)
