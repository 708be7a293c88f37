"""Listed instruments. www lists those that expired in the last week, the archive host all."""

from collections.abc import Callable, Mapping
from typing import Any

from deribit_pipeline.sandbox.listing import Listing
from deribit_pipeline.sandbox.refusals import invalid, required
from deribit_pipeline.sandbox.world import Method, World

CURRENCIES = {
    "BTC": ("Bitcoin", 8),
    "ETH": ("Ethereum", 6),
    "USDC": ("USD Coin", 6),
    "USDT": ("Tether", 6),
    "EURR": ("StablR Euro", 6),
    "SOL": ("Solana", 6),
}
"""The currencies: their names, and the decimals of their amounts."""

KINDS = ("future", "option", "spot", "future_combo", "option_combo")


def methods(world: World) -> dict[str, Method]:
    """The methods of www."""
    return {
        "public/get_instrument": lambda params: world.remembered(params).result(world.now_ms()),
        "public/get_instruments": lambda params: _instruments(world, params, world.is_remembered),
        "public/get_currencies": lambda params: [_currency(name) for name in CURRENCIES],
    }


def history_methods(world: World) -> dict[str, Method]:
    """The methods of the archive host."""
    return {
        "public/get_instrument": lambda params: world.listing(params).result(world.now_ms()),
        "public/get_instruments": lambda params: _instruments(world, params, lambda _: True),
    }


def _currency(name: str) -> dict[str, Any]:
    title, decimals = CURRENCIES[name]
    return {
        "currency": name,
        "currency_long": title,
        "coin_type": name,
        "decimals": decimals,
        "apr": 0.0,
        "min_confirmations": 1,
        "min_withdrawal_fee": 0.0001,
        "withdrawal_fee": 0.0001,
        "withdrawal_priorities": [],
        "network_fee": 0.0001,
        "network_currency": name,
        "in_cross_collateral_pool": False,
        "onchain_operations_precision": decimals,
        "currency_uuid": name.lower(),
    }


def _instruments(
    world: World, params: Mapping[str, str], is_returned: Callable[[Listing], bool]
) -> list[dict[str, Any]]:
    currency = required(params, "currency")
    if currency not in (*CURRENCIES, "any"):
        raise invalid("currency", "invalid currency")
    now, kind = world.now_ms(), params.get("kind")
    is_expired = params.get("expired", "false") == "true"
    return [
        listing.result(now)
        for listing in world.listings()
        if is_expired == (listing.expires_ms <= now)
        and kind in (None, listing.kind)
        and currency in ("any", listing.settlement_currency)
        and is_returned(listing)
    ]
