"""What is listed: of what has expired, www tells the last week's, and the archive host the rest."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.refusals import invalid, required

if TYPE_CHECKING:
    from deribit_pipeline.sandbox.exchange import Method, SandboxExchange

_CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR", "any")


def methods(exchange: "SandboxExchange") -> "dict[str, Method]":
    """The methods of www."""
    return {
        "public/get_instrument": lambda params: exchange.remembered(params).result(
            exchange.now_ms()
        ),
        "public/get_instruments": lambda params: _instruments(
            exchange, params, exchange.is_remembered
        ),
        "public/get_currencies": lambda params: [_currency(name) for name in _CURRENCIES[:-1]],
    }


def history_methods(exchange: "SandboxExchange") -> "dict[str, Method]":
    """The methods of the archive host."""
    return {
        "public/get_instrument": lambda params: exchange.listing(params).result(exchange.now_ms()),
        "public/get_instruments": lambda params: _instruments(exchange, params, lambda _: True),
    }


def _currency(name: str) -> dict[str, Any]:
    """A currency as `public/get_currencies` describes it."""
    return {
        "currency": name,
        "currency_long": name,
        "coin_type": name,
        "network_currency": name,
        "decimals": 8,
        "min_confirmations": 1,
        "min_withdrawal_fee": 0.0001,
        "withdrawal_fee": 0.0001,
        "network_fee": 0.0001,
        "withdrawal_priorities": [],
    }


def _instruments(
    exchange: "SandboxExchange", params: Mapping[str, str], is_told: Callable[[Listing], bool]
) -> list[dict[str, Any]]:
    currency = required(params, "currency")
    if currency not in _CURRENCIES:
        raise invalid("currency", "invalid currency")
    now, kind = exchange.now_ms(), params.get("kind")
    is_expired = params.get("expired", "false") == "true"
    return [
        listing.result(now)
        for listing in exchange.listings()
        if is_expired == (listing.expires_ms <= now)
        and kind in (None, listing.kind)
        and currency in ("any", listing.settlement_currency)
        and is_told(listing)
    ]
