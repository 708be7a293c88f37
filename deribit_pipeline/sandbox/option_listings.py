"""The options of one expiry: their strikes, and how much each is traded."""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from deribit_pipeline.sandbox.listing import Listing

_USUAL_ACTIVITY = 0.15
_FAR = 1.8
"""Options this many deviations from the money never trade."""

_NICE = (1.0, 2.0, 2.5, 5.0)
_BELOW, _ABOVE = 5, 6  # strikes on either side of the money


def options_of(
    currency: str, expires_ms: int, created_ms: int, period: str,
    strikes: Iterable[tuple[float, float]],
) -> Iterator[Listing]:  # fmt: skip
    """A call and a put at each strike, which stands with the probability that a minute has a
    trade. `currency` is the beginning of the names."""
    is_linear = "_" in currency
    tick, least, size = (0.0001, 1_000.0, 1_000.0) if is_linear else (0.0001, 1.0, 1.0)
    least = 0.1 if currency == "BTC" else least
    for strike, activity in strikes:
        for letter in "CP":
            yield Listing(
                f"{currency}-{_date(expires_ms)}-{_decimal(strike)}-{letter}", created_ms,
                0.0, tick, least, activity, 1.0,
                kind="option", expires_ms=expires_ms, settlement_period=period, strike=strike,
                tick_size_steps=() if is_linear else ((0.005, 0.0005),), contract_size=size,
            )  # fmt: skip


def strikes_about(price: float, deviation: float) -> Iterator[tuple[float, float]]:
    """Twelve strikes about a price, and how much each is traded. `deviation` is that of the
    logarithm of the price until the expiry."""
    step = _nice(price * min(0.4 * deviation, 0.15))
    middle = round(price / step)
    for number in range(middle - _BELOW, middle + _ABOVE + 1):
        strike = round(number * step, 9)
        away = abs(math.log(strike / price)) / deviation
        yield strike, 0.0 if away > _FAR else _USUAL_ACTIVITY * math.exp(-(away**2) / 2)


def expiry_ms(text: str) -> int:
    """08:00 UTC on a day written as in names: 5JAN24."""
    day = datetime.strptime(text, "%d%b%y").replace(tzinfo=UTC)
    return int((day + timedelta(hours=8)).timestamp() * 1000)


def _date(expires_ms: int) -> str:
    day = datetime.fromtimestamp(expires_ms / 1000, UTC)
    return f"{day.day}{day:%b%y}".upper()


def _decimal(strike: float) -> str:
    """A strike as in names, its decimal point a `d`."""
    return f"{strike:.9g}".replace(".", "d")


def _nice(step: float) -> float:
    """The largest of 1, 2, 2.5, 5, 10, … that is not above the step."""
    power = 10.0 ** math.floor(math.log10(step))
    return max(part for part in _NICE if part * power <= step * (1 + 1e-9)) * power
