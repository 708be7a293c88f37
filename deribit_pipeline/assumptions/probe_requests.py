"""The requests that test the assumptions: about thirty, sequential, all public."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deribit_pipeline.assumptions.assumption import NotTested, Parsed, Responses
from deribit_pipeline.assumptions.probing import ARCHIVE, MAIN, Asking
from deribit_pipeline.datasets.candles.calls import CHART
from deribit_pipeline.datasets.candles.requests import MOST_CANDLES
from deribit_pipeline.datasets.delivery_prices.wire import MOST_DELIVERY_PRICES, delivery_prices
from deribit_pipeline.datasets.funding_rates.listing import BEGAN
from deribit_pipeline.datasets.funding_rates.source import HOURS
from deribit_pipeline.datasets.funding_rates.wire import HISTORY
from deribit_pipeline.datasets.settlements.wire import BY_CURRENCY, MOST_SETTLEMENTS, settlements
from deribit_pipeline.datasets.trades.calls import BY_NUMBER, BY_TIME
from deribit_pipeline.datasets.trades.hosts import LEAKS, MOST_TRADES, MOST_TRADES_OF_ARCHIVE
from deribit_pipeline.datasets.trades.wire import trades
from deribit_pipeline.datasets.volatility_index.source import LIFE, MINUTES
from deribit_pipeline.datasets.volatility_index.wire import DATA, index_page
from deribit_pipeline.domain.specification import Specification
from deribit_pipeline.domain.windows import ONE_DAY, day_window, to_ms
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import exchange_time
from deribit_pipeline.instruments.wire import INSTRUMENTS, listed

SERIES = "BTC-PERPETUAL"
"""The instrument that the probes request: traded every minute, and listed in every environment."""

EXPIRED, EXPIRED_AT = "BTC-29MAR24", datetime(2024, 3, 29, 8, tzinfo=UTC)
"""An instrument that expired long ago and that the main host no longer lists."""

NO_INSTRUMENT = "NO-SUCH-INSTRUMENT"
CURRENCY, INDEX = "BTC", "btc_usd"

ANCHORED = ("120", "180", "360", "720", "1D")
"""The resolutions whose candles may not open at midnight UTC and its multiples."""

SETTLEMENTS, PRICES = 20, 10
"""How many rows to request per page of settlements and of delivery prices."""

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


async def responses_of(exchange: Exchange) -> Responses:
    """Make all requests. Raises a DeribitError if not even the first one, for the exchange's time,
    gets a response."""
    asking = Asking(exchange, await exchange_time(exchange.client))
    await _protocol(asking)
    await _charts(asking)
    await _charts_of_others(asking)
    await _funding(asking)
    await _volatility_index(asking)
    await _trades(asking)
    await _settlements(asking)
    await _prices(asking)
    return asking.responses


def whole_day(now: datetime) -> datetime:
    """The midnight UTC at which the newest day begins that ended at least a day before `now`."""
    return day_window(now.date()).start - 2 * ONE_DAY


async def _protocol(asking: Asking) -> None:
    await asking.post("post", "public/get_time")
    await asking.post("post-archive", BY_NUMBER, host=ARCHIVE, instrument_name=SERIES, count=1)
    await asking.ask("currencies", "public/get_currencies")
    await asking.ask("instruments", INSTRUMENTS, currency="any", expired=False)
    await asking.ask("no-instrument", "public/get_instrument", instrument_name=NO_INSTRUMENT)


async def _charts(asking: Asking) -> None:
    day, now = whole_day(asking.now), asking.now
    overflow = now - (MOST_CANDLES + 1_000) * _MINUTE
    tomorrow = day_window(now.date()).end
    await _chart(asking, "running", "1", overflow, tomorrow)
    await _chart(asking, "day", "1", day, day + ONE_DAY)
    # Starts within an hour: shows whether such a start is floored to the hour.
    # Ends now, so that it includes the hours of the trades that both hosts return.
    await _chart(asking, "hours", "60", day + 17 * _MINUTE, now)
    for resolution in ANCHORED:
        first = day - (10 if resolution == "1D" else 3) * ONE_DAY
        await _chart(asking, f"anchor-{resolution}", resolution, first, day + ONE_DAY / 2)


async def _charts_of_others(asking: Asking) -> None:
    day = whole_day(asking.now)
    listed_at, listed_why = _chosen(asking, "instruments", listing)
    if listed_at:
        await _chart(asking, "listing", "1", listed_at - _HOUR, listed_at + _HOUR)
    else:
        asking.leave_out("listing", listed_why)
    quiet, quiet_why = _chosen(asking, "instruments", lambda told: quietest(told, day))
    if quiet:
        await _chart(asking, "quiet", "1", day, day + ONE_DAY - _MINUTE, quiet)
    else:
        asking.leave_out("quiet", quiet_why)
    spot, spot_why = _chosen(asking, "instruments", spot_pair)
    if spot:
        await _chart(asking, "spot", "60", day, day + ONE_DAY, spot)
    else:
        asking.leave_out("spot", spot_why)
    start, end = EXPIRED_AT - ONE_DAY, EXPIRED_AT + 4 * _HOUR
    await _chart(asking, "expired", "60", start, end, EXPIRED, host=ARCHIVE)


async def _funding(asking: Asking) -> None:
    day, now = whole_day(asking.now), asking.now
    for name, start, end in (
        ("funding-overflow", now - (HOURS.most + 256) * _HOUR, now),
        ("funding-day", day, day + ONE_DAY),
        ("funding-began", BEGAN - 10 * ONE_DAY, BEGAN + ONE_DAY),
    ):
        await asking.ask(
            name, HISTORY, instrument_name=SERIES, start_timestamp=to_ms(start),
            end_timestamp=to_ms(end),
        )  # fmt: skip


async def _volatility_index(asking: Asking) -> None:
    now = asking.now
    start = to_ms(now.replace(second=0, microsecond=0)) - MINUTES.most * 90_000

    async def ask(name: str, resolution: str, start: int, end: int) -> None:
        await asking.ask(
            name, DATA, currency=CURRENCY, resolution=resolution, start_timestamp=start,
            end_timestamp=end,
        )  # fmt: skip

    await ask("dvol", "60", start, to_ms(now))
    older, why = _chosen(
        asking, "dvol", lambda result: index_page(result).continuation, "no continuation came"
    )
    if older is None:
        asking.leave_out("dvol-older", why)
    else:
        await ask("dvol-older", "60", start, older)
    await ask("dvol-hours", "3600", start, to_ms(now))
    await ask(
        "dvol-began", "3600", to_ms(LIFE.start - 3 * ONE_DAY), to_ms(LIFE.start + 3 * ONE_DAY)
    )


async def _trades(asking: Asking) -> None:
    now = asking.now
    await asking.ask(
        "trades", BY_TIME, instrument_name=SERIES, start_timestamp=to_ms(now - 7 * ONE_DAY),
        end_timestamp=to_ms(now), count=MOST_TRADES, sorting="asc",
    )  # fmt: skip
    for name, host, most in (
        ("trades-more", MAIN, MOST_TRADES),
        ("trades-more-archive", ARCHIVE, MOST_TRADES_OF_ARCHIVE),
    ):
        await asking.ask(
            name, BY_NUMBER, host=host, instrument_name=SERIES, count=most + 1, sorting="desc"
        )
    oldest, why = _chosen(asking, "trades", _oldest, "the main host returned no trade")
    if oldest is None:
        asking.leave_out("trades-archive", why)
    else:
        first = max(1, oldest + 1 - (MOST_TRADES_OF_ARCHIVE - LEAKS))
        await asking.ask(
            "trades-archive", BY_NUMBER, host=ARCHIVE, instrument_name=SERIES, start_seq=first,
            end_seq=oldest, count=MOST_TRADES_OF_ARCHIVE, sorting="asc",
        )  # fmt: skip


async def _settlements(asking: Asking) -> None:
    until = to_ms(whole_day(asking.now) + ONE_DAY / 2)
    for name, count, bound in (
        ("settlements", SETTLEMENTS, until),
        ("settlements-both", 2 * SETTLEMENTS, until),
        ("settlements-end", MOST_SETTLEMENTS, to_ms(datetime(2016, 1, 1, tzinfo=UTC))),
    ):
        await asking.ask(
            name, BY_CURRENCY, currency=CURRENCY, count=count, search_start_timestamp=bound
        )
    token, why = _chosen(
        asking, "settlements", lambda result: settlements(result).continuation,
        "no continuation came",
    )  # fmt: skip
    if token is None:
        asking.leave_out("settlements-older", why)
    else:
        await asking.ask(
            "settlements-older", BY_CURRENCY, currency=CURRENCY, count=SETTLEMENTS,
            continuation=token,
        )  # fmt: skip


async def _prices(asking: Asking) -> None:
    async def ask(name: str, offset: int, count: int) -> None:
        await asking.ask(
            name, "public/get_delivery_prices", index_name=INDEX, offset=offset, count=count
        )

    await ask("prices", 0, PRICES)
    total, why = _chosen(asking, "prices", lambda result: delivery_prices(result).records_total)
    if total is None:
        asking.leave_out("prices-oldest", why)
    else:
        await ask("prices-oldest", max(0, total - PRICES), MOST_DELIVERY_PRICES)
    await asking.ask("volatility", "public/get_historical_volatility", currency=CURRENCY)


async def _chart(
    asking: Asking,
    name: str,
    resolution: str,
    start: datetime,
    end: datetime,
    instrument_name: str = SERIES,
    host: str = MAIN,
) -> None:
    await asking.ask(
        name, CHART, instrument_name=instrument_name, start_timestamp=to_ms(start),
        end_timestamp=to_ms(end), resolution=resolution, host=host,
    )  # fmt: skip


def _chosen(
    asking: Asking,
    name: str,
    choose: Callable[[object], Parsed | None],
    nothing: str = "nothing fits",
) -> tuple[Parsed | None, str]:
    """A value from an earlier response that a later request needs; or None, and why there is
    none."""
    try:
        return asking.responses.read(name, choose), nothing
    except (NotTested, ValueError) as error:
        return None, str(error)


def quietest(result: object, day: datetime) -> str | None:
    """A future that trades so rarely that minutes without trades can be expected: of those listed
    before the day, the last to expire."""
    futures = [
        told
        for told in listed(result).specifications
        if told.kind == "future" and told.listed_at < day and told.instrument_name != SERIES
    ]

    def rarely_traded(told: Specification) -> tuple[bool, datetime, str]:
        return told.expires_at is not None, told.expires_at or day, told.instrument_name

    return max(futures, key=rarely_traded).instrument_name if futures else None


def listing(result: object) -> datetime | None:
    """When the probed instrument was listed."""
    told = listed(result).specifications
    return next((one.listed_at for one in told if one.instrument_name == SERIES), None)


def spot_pair(result: object) -> str | None:
    """A spot pair: BTC_USDC if there is one."""
    names = sorted(
        told.instrument_name for told in listed(result).specifications if told.kind == "spot"
    )
    return "BTC_USDC" if "BTC_USDC" in names else next(iter(names), None)


def _oldest(result: object) -> int | None:
    numbers = trades(result, SERIES, MOST_TRADES)["trade_seq"]
    return int(numbers[0]) if len(numbers) else None
