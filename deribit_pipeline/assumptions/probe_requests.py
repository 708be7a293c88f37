"""The requests that test the assumptions: about thirty, sequential, all public."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deribit_pipeline.assumptions.assumption import NotTested, Parsed, Responses
from deribit_pipeline.assumptions.probing import ARCHIVE, MAIN, Prober
from deribit_pipeline.assumptions.subscriptions import CHANNELS, UNKNOWN
from deribit_pipeline.datasets.book_summaries.wire import BY_CURRENCY as SUMMARIES
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
    prober = Prober(exchange, await exchange_time(exchange.client))
    await _protocol(prober)
    await _charts(prober)
    await _charts_of_others(prober)
    await _funding(prober)
    await _volatility_index(prober)
    await _trades(prober)
    await _settlements(prober)
    await _prices(prober)
    await prober.subscribe("subscription", (*CHANNELS, UNKNOWN))
    return prober.responses


def whole_day(now: datetime) -> datetime:
    """The midnight UTC at which the newest day begins that ended at least a day before `now`."""
    return day_window(now.date()).start - 2 * ONE_DAY


async def _protocol(prober: Prober) -> None:
    await prober.post("post", "public/get_time")
    await prober.post("post-archive", BY_NUMBER, host=ARCHIVE, instrument_name=SERIES, count=1)
    await prober.request("currencies", "public/get_currencies")
    await prober.request("instruments", INSTRUMENTS, currency="any", expired=False)
    await prober.request("summaries", SUMMARIES, currency=CURRENCY)
    await prober.request("no-instrument", "public/get_instrument", instrument_name=NO_INSTRUMENT)


async def _charts(prober: Prober) -> None:
    day, now = whole_day(prober.now), prober.now
    overflow = now - (MOST_CANDLES + 1_000) * _MINUTE
    tomorrow = day_window(now.date()).end
    await _chart(prober, "running", "1", overflow, tomorrow)
    await _chart(prober, "day", "1", day, day + ONE_DAY)
    # Starts within an hour: shows whether such a start is floored to the hour.
    # Ends now, so that it includes the hours of the trades that both hosts return.
    await _chart(prober, "hours", "60", day + 17 * _MINUTE, now)
    for resolution in ANCHORED:
        first = day - (10 if resolution == "1D" else 3) * ONE_DAY
        await _chart(prober, f"anchor-{resolution}", resolution, first, day + ONE_DAY / 2)


async def _charts_of_others(prober: Prober) -> None:
    day = whole_day(prober.now)
    listed_at, listed_why = _chosen(prober, "instruments", listing)
    if listed_at:
        await _chart(prober, "listing", "1", listed_at - _HOUR, listed_at + _HOUR)
    else:
        prober.leave_out("listing", listed_why)
    quiet, quiet_why = _chosen(prober, "instruments", lambda returned: quietest(returned, day))
    if quiet:
        await _chart(prober, "quiet", "1", day, day + ONE_DAY - _MINUTE, quiet)
    else:
        prober.leave_out("quiet", quiet_why)
    spot, spot_why = _chosen(prober, "instruments", spot_pair)
    if spot:
        await _chart(prober, "spot", "60", day, day + ONE_DAY, spot)
    else:
        prober.leave_out("spot", spot_why)
    start, end = EXPIRED_AT - ONE_DAY, EXPIRED_AT + 4 * _HOUR
    await _chart(prober, "expired", "60", start, end, EXPIRED, host=ARCHIVE)


async def _funding(prober: Prober) -> None:
    day, now = whole_day(prober.now), prober.now
    for name, start, end in (
        ("funding-overflow", now - (HOURS.most + 256) * _HOUR, now),
        ("funding-day", day, day + ONE_DAY),
        ("funding-began", BEGAN - 10 * ONE_DAY, BEGAN + ONE_DAY),
    ):
        await prober.request(
            name, HISTORY, instrument_name=SERIES, start_timestamp=to_ms(start),
            end_timestamp=to_ms(end),
        )  # fmt: skip


async def _volatility_index(prober: Prober) -> None:
    now = prober.now
    start = to_ms(now.replace(second=0, microsecond=0)) - MINUTES.most * 90_000

    async def request(name: str, resolution: str, start: int, end: int) -> None:
        await prober.request(
            name, DATA, currency=CURRENCY, resolution=resolution, start_timestamp=start,
            end_timestamp=end,
        )  # fmt: skip

    await request("dvol", "60", start, to_ms(now))
    older, why = _chosen(
        prober, "dvol", lambda result: index_page(result).continuation, "no continuation came"
    )
    if older is None:
        prober.leave_out("dvol-older", why)
    else:
        await request("dvol-older", "60", start, older)
    await request("dvol-hours", "3600", start, to_ms(now))
    await request(
        "dvol-began", "3600", to_ms(LIFE.start - 3 * ONE_DAY), to_ms(LIFE.start + 3 * ONE_DAY)
    )


async def _trades(prober: Prober) -> None:
    now = prober.now
    await prober.request(
        "trades", BY_TIME, instrument_name=SERIES, start_timestamp=to_ms(now - 7 * ONE_DAY),
        end_timestamp=to_ms(now), count=MOST_TRADES, sorting="asc",
    )  # fmt: skip
    for name, host, most in (
        ("trades-more", MAIN, MOST_TRADES),
        ("trades-more-archive", ARCHIVE, MOST_TRADES_OF_ARCHIVE),
    ):
        await prober.request(
            name, BY_NUMBER, host=host, instrument_name=SERIES, count=most + 1, sorting="desc"
        )
    oldest, why = _chosen(prober, "trades", _oldest, "the main host returned no trade")
    if oldest is None:
        prober.leave_out("trades-archive", why)
    else:
        first = max(1, oldest + 1 - (MOST_TRADES_OF_ARCHIVE - LEAKS))
        await prober.request(
            "trades-archive", BY_NUMBER, host=ARCHIVE, instrument_name=SERIES, start_seq=first,
            end_seq=oldest, count=MOST_TRADES_OF_ARCHIVE, sorting="asc",
        )  # fmt: skip


async def _settlements(prober: Prober) -> None:
    until = to_ms(whole_day(prober.now) + ONE_DAY / 2)
    for name, count, bound in (
        ("settlements", SETTLEMENTS, until),
        ("settlements-both", 2 * SETTLEMENTS, until),
        ("settlements-end", MOST_SETTLEMENTS, to_ms(datetime(2016, 1, 1, tzinfo=UTC))),
    ):
        await prober.request(
            name, BY_CURRENCY, currency=CURRENCY, count=count, search_start_timestamp=bound
        )
    token, why = _chosen(
        prober, "settlements", lambda result: settlements(result).continuation,
        "no continuation came",
    )  # fmt: skip
    if token is None:
        prober.leave_out("settlements-older", why)
    else:
        await prober.request(
            "settlements-older", BY_CURRENCY, currency=CURRENCY, count=SETTLEMENTS,
            continuation=token,
        )  # fmt: skip


async def _prices(prober: Prober) -> None:
    async def request(name: str, offset: int, count: int) -> None:
        await prober.request(
            name, "public/get_delivery_prices", index_name=INDEX, offset=offset, count=count
        )

    await request("prices", 0, PRICES)
    total, why = _chosen(prober, "prices", lambda result: delivery_prices(result).records_total)
    if total is None:
        prober.leave_out("prices-oldest", why)
    else:
        await request("prices-oldest", max(0, total - PRICES), MOST_DELIVERY_PRICES)
    await prober.request("volatility", "public/get_historical_volatility", currency=CURRENCY)


async def _chart(
    prober: Prober,
    name: str,
    resolution: str,
    start: datetime,
    end: datetime,
    instrument_name: str = SERIES,
    host: str = MAIN,
) -> None:
    await prober.request(
        name, CHART, instrument_name=instrument_name, start_timestamp=to_ms(start),
        end_timestamp=to_ms(end), resolution=resolution, host=host,
    )  # fmt: skip


def _chosen(
    prober: Prober,
    name: str,
    choose: Callable[[object], Parsed | None],
    nothing: str = "nothing fits",
) -> tuple[Parsed | None, str]:
    """A value from an earlier response that a later request needs; or None, and why there is
    none."""
    try:
        return prober.responses.read(name, choose), nothing
    except (NotTested, ValueError) as error:
        return None, str(error)


def quietest(result: object, day: datetime) -> str | None:
    """A future that trades so rarely that minutes without trades can be expected: of those listed
    before the day, the last to expire."""
    futures = [
        returned
        for returned in listed(result).specifications
        if returned.kind == "future"
        and returned.listed_at < day
        and returned.instrument_name != SERIES
    ]

    def rarely_traded(returned: Specification) -> tuple[bool, datetime, str]:
        return returned.expires_at is not None, returned.expires_at or day, returned.instrument_name

    return max(futures, key=rarely_traded).instrument_name if futures else None


def listing(result: object) -> datetime | None:
    """When the probed instrument was listed."""
    returned = listed(result).specifications
    return next((one.listed_at for one in returned if one.instrument_name == SERIES), None)


def spot_pair(result: object) -> str | None:
    """A spot pair: BTC_USDC if there is one."""
    names = sorted(
        returned.instrument_name
        for returned in listed(result).specifications
        if returned.kind == "spot"
    )
    return "BTC_USDC" if "BTC_USDC" in names else next(iter(names), None)


def _oldest(result: object) -> int | None:
    numbers = trades(result, SERIES, MOST_TRADES)["trade_seq"]
    return int(numbers[0]) if len(numbers) else None
