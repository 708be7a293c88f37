"""Expiring instruments of the sandbox: dated futures and combos around two dates, the start of 2024
and the end of 2026, and options around the first. Later options are listed day by day."""

from collections.abc import Iterator

from deribit_pipeline.sandbox.listing import Listing, ms_of
from deribit_pipeline.sandbox.option_listings import expiry_ms, options_of

# The price about which options are listed, and the distance of strikes.
_PRICES = {"BTC": (42_500.0, 1_000), "ETH": (2_330.0, 50)}

# The strikes of an expiry, as multiples of the price.
_STRIKES = (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5)

_FUTURES = (
    ("BTC-29MAR24", "2023-03-30T08:01:20", "month"),
    ("ETH-29MAR24", "2023-03-30T08:01:40", "month"),
    ("BTC-5JAN24", "2023-12-21T08:00:10", "week"),
    ("ETH-5JAN24", "2023-12-21T08:00:12", "week"),
    ("BTC-26JAN24", "2023-11-30T08:00:41", "month"),
    ("BTC-27NOV26", "2026-08-27T08:00:24", "month"),
    ("BTC-25DEC26", "2025-12-25T08:01:00", "month"),
    ("ETH-25DEC26", "2025-12-25T08:01:10", "month"),
    ("BTC-25JUN27", "2026-06-26T08:00:23", "month"),
)
_OPTIONS = (
    ("5JAN24", "2023-12-21T08:00:30", "week"),
    ("26JAN24", "2023-11-30T08:01:00", "month"),
    ("29MAR24", "2023-03-30T08:02:00", "month"),
)
_ACTIVITY = 0.15


def expiring() -> Iterator[Listing]:
    """All expiring instruments, ordered by kind."""
    yield from _dated_futures()
    for expiry, created, period in _OPTIONS:
        for currency, (price, step) in _PRICES.items():
            strikes = [(float(round(price * part / step) * step), _ACTIVITY) for part in _STRIKES]
            yield from options_of(currency, expiry_ms(expiry), ms_of(created), period, strikes)
    yield from _small_options()
    yield from _combos()
    # Settled in a coin in which no listed instrument settles any more.
    yield Listing(
        "SOL-25MAR22", ms_of("2022-02-10T08:00:00"), 95.0, 0.01, 1.0, 0.3, 2_000.0,
        expires_ms=expiry_ms("25MAR22"), settlement_period="month",
    )  # fmt: skip


def _dated_futures() -> Iterator[Listing]:
    for name, created, period in _FUTURES:
        tick, least, price = (2.5, 10.0, 42_500.0) if name[0] == "B" else (0.25, 1.0, 2_330.0)
        yield Listing(
            name, ms_of(created), price, tick, least, 0.5, 20_000.0,
            expires_ms=expiry_ms(name.split("-")[1]), settlement_period=period,
        )  # fmt: skip


def _small_options() -> Iterator[Listing]:
    """Options of a coin that costs less than a dollar: the strike's decimal point is a `d`."""
    created = ms_of("2023-06-15T08:01:00")
    strikes = [(strike, 0.1) for strike in (0.5, 0.625)]
    yield from options_of("XRP_USDC", expiry_ms("30JUN23"), created, "month", strikes)


def _combos() -> Iterator[Listing]:
    for name, kind, created, expiry, least in (
        ("BTC-FS-29MAR24_PERP", "future_combo", "2023-12-01T08:00:00", "29MAR24", 10.0),
        ("BTC-FS-25DEC26_PERP", "future_combo", "2026-09-01T08:00:00", "25DEC26", 10.0),
        ("BTC-CS-25DEC26-72000_79000", "option_combo", "2026-09-01T08:00:05", "25DEC26", 0.1),
    ):
        yield Listing(
            name, ms_of(created), 250.0, 0.5, least, 0.05, 5_000.0,
            kind=kind, expires_ms=expiry_ms(expiry), settlement_period="month",
        )  # fmt: skip
