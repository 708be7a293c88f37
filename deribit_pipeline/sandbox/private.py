"""The private methods of the account, and the scope that each one needs.

Limits, the end of a continuation, and the effect of `historical` follow Deribit's documentation, or
what others have observed.
"""

import bisect
from collections.abc import Mapping
from typing import Any

from deribit_pipeline.sandbox.account import CURRENCIES, TRADED, Account, Row
from deribit_pipeline.sandbox.market import DAY
from deribit_pipeline.sandbox.refusals import invalid, milliseconds, required
from deribit_pipeline.sandbox.world import Method, World

MOST_ENTRIES, MOST_TRADES, MOST_SETTLEMENTS = 250, 1_000, 1_000

READS = {
    "private/get_account_summary": "account:read",
    "private/get_account_summaries": "account:read",
    "private/get_positions": "trade:read",
    "private/get_transaction_log": "account:read",
    "private/get_user_trades_by_currency_and_time": "trade:read",
    "private/get_settlement_history_by_currency": "trade:read",
}
"""The scope that each method needs."""

_ENDS: dict[str, Row] = {"BTC": {}, "ETH": {"continuation": None}, "USDC": {"continuation": "none"}}


def methods(world: World, account: Account) -> dict[str, Method]:
    """The methods of the account; the exchange checks the scopes."""

    def lived(rows: dict[str, list[Row]], params: Mapping[str, str], start: int, end: int) -> Any:
        """The rows of a currency in [start, end] that have happened."""
        now = world.now_ms()
        account.until(now)
        of_currency = rows[_currency(params)]
        first = bisect.bisect_left(of_currency, start, key=_at)
        return of_currency[first : bisect.bisect_right(of_currency, min(end, now), key=_at)]

    def log(params: Mapping[str, str]) -> Row:
        start, end = (milliseconds(params, name) for name in ("start_timestamp", "end_timestamp"))
        count = _count(params, 100, MOST_ENTRIES)
        entries = lived(account.entries, params, start, end)[::-1]
        if params.get("continuation"):
            newest = milliseconds(params, "continuation")
            entries = [entry for entry in entries if entry["id"] <= newest]
        rest = entries[count:]
        return {"logs": entries[:count], "continuation": rest[0]["id"] if rest else None}

    def user_trades(params: Mapping[str, str]) -> Row:
        start, end = (milliseconds(params, name) for name in ("start_timestamp", "end_timestamp"))
        count = _count(params, 10, MOST_TRADES)
        if params.get("historical") == "true":
            end = min(end, world.now_ms() - account.indexed_after)
        else:
            # A window that begins earlier returns nothing at all.
            end = end if start >= world.now_ms() - DAY else -1
        trades = lived(account.trades, params, start, end)
        # The newest rows in the window are kept, and nothing indicates that there are more.
        kept = trades[-count:] if trades else []
        return {"trades": kept[:: 1 if params.get("sorting") == "asc" else -1], "has_more": False}

    def settlements(params: Mapping[str, str]) -> Row:
        count = _count(params, 20, MOST_SETTLEMENTS)
        newest = int(params.get("search_start_timestamp") or world.now_ms())
        if params.get("continuation"):
            newest = int(params["continuation"].removeprefix("before-")) - 1
        found = lived(account.settlements, params, 0, newest)[::-1]
        if len(found) <= count:
            return {"settlements": found} | _ENDS.get(params["currency"], {})
        last = found[count - 1]["timestamp"]
        return {"settlements": found[:count], "continuation": f"before-{last}"}

    def summary(currency: str) -> Row:
        entries = account.until(world.now_ms()).entries[currency]
        end = bisect.bisect_right(entries, world.now_ms(), key=_at)
        balance = entries[end - 1]["balance"] if end else 0.0
        names = ("balance", "equity", "available_funds", "available_withdrawal_funds")
        margins = ("initial_margin", "maintenance_margin")
        return {
            "currency": currency,
            **dict.fromkeys((*names, "margin_balance"), balance),
            **dict.fromkeys(margins, 0.0),
            "portfolio_margining_enabled": False,
        }

    def positions(params: Mapping[str, str]) -> list[Row]:
        wanted = params.get("currency", "any")
        found = []
        for currency, (name, _) in TRADED.items():
            trades = lived(account.trades, {"currency": currency}, 0, world.now_ms())
            size = sum(t["amount"] * (1 if t["direction"] == "buy" else -1) for t in trades)
            if wanted in ("any", currency) and size:
                direction = "buy" if size > 0 else "sell"
                position = {"instrument_name": name, "kind": "future", "direction": direction}
                found.append(position | {"size": round(size, 8), "total_profit_loss": 0.0})
        return found

    return {
        "private/get_account_summary": lambda params: summary(_currency(params)),
        "private/get_account_summaries": lambda params: {
            "summaries": [summary(currency) for currency in CURRENCIES]
        },
        "private/get_positions": positions,
        "private/get_transaction_log": log,
        "private/get_user_trades_by_currency_and_time": user_trades,
        "private/get_settlement_history_by_currency": settlements,
    }


def granted(requested: str | None, of_key: str) -> str:
    """The scope of a token: the requested scope as far as the key has it, by default all of it.
    The server adds its own words."""
    most = dict(part.split(":") for part in of_key.split())
    wanted = dict(part.split(":") for part in requested.split()) if requested else most
    levels = {
        name: level if most[name] == "read_write" else "read"
        for name, level in wanted.items()
        if name in most
    }
    return " ".join([*(f"{name}:{level}" for name, level in levels.items()), "mainaccount"])


def permits(scope: str, method: str) -> bool:
    """Whether a token of this scope may call the method."""
    needed = READS.get(method)
    return needed is None or needed in scope.replace("read_write", "read").split()


def _currency(params: Mapping[str, str]) -> str:
    currency = required(params, "currency")
    if currency not in CURRENCIES:
        raise invalid("currency", "invalid currency")
    return currency


def _count(params: Mapping[str, str], default: int, most: int) -> int:
    count = int(params.get("count") or default)
    if not 1 <= count <= most:
        raise invalid("count", f"must be between 1 and {most}")
    return count


def _at(row: Row) -> int:
    at: int = row["timestamp"]
    return at
