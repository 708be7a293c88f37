"""Invented trades, as both hosts of the sandbox publish them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

NAME = "BTC-PERPETUAL"


def trade(number: int, at: str | datetime, name: str = NAME, **values: Any) -> dict[str, Any]:
    """A trade at a UTC time such as 2024-03-02T10:00; a None value is omitted."""
    moment = at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC)
    made = {
        "trade_seq": number, "trade_id": f"T-{number}",
        "timestamp": int(moment.timestamp() * 1000), "tick_direction": 0, "price": 60_000.0,
        "mark_price": 60_001.0, "instrument_name": name, "index_price": 60_002.0,
        "direction": "buy", "amount": 10.0, "contracts": 1.0,
    }  # fmt: skip
    return {key: value for key, value in (made | values).items() if value is not None}


def every_minute(
    first: int, start: str, count: int, name: str = NAME, **values: Any
) -> Iterable[dict[str, Any]]:
    """Trades with numbers from `first` on, one every minute from `start` on."""
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()
    return (
        trade(first + n, datetime.fromtimestamp(begin + 60 * n, UTC), name, **values)
        for n in range(count)
    )
