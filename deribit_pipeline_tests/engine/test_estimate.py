"""The number of requests of a backfill, estimated before it runs."""

from datetime import UTC, date, datetime

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import days_between
from deribit_pipeline.engine.estimate import Limit, estimate

NAMES = ("BTC-PERPETUAL", "ETH-PERPETUAL")
DAYS = {name: list(days_between(date(2024, 1, 1), date(2024, 1, 10))) for name in NAMES}
DAY_OF_EXPIRY = datetime(2024, 1, 10, 8, tzinfo=UTC)
LIMIT = Limit(requests_per_second=2.0, burst=3)


def test_the_calls_for_candles_are_windows_coarser_ones_and_a_listing_an_instrument() -> None:
    listed = datetime(2020, 1, 1, tzinfo=UTC)
    instruments = {name: Instrument(name, "future", listed, None) for name in NAMES}
    counted = estimate(CANDLES[Resolution.MINUTE_1], DAYS, DAYS, instruments, LIMIT)
    assert (counted.requests, counted.calls) == (8, 10)
    assert counted.seconds == (10 - 3) / 2
    short = {name: Instrument(name, "future", listed, DAY_OF_EXPIRY) for name in NAMES}
    counted = estimate(CANDLES[Resolution.MINUTE_1], DAYS, DAYS, short, LIMIT)
    assert counted.calls == counted.requests + 2 * 3  # what rests on a listing rests on three


def test_the_calls_for_rows_are_the_requests() -> None:
    counted = estimate(DATASETS["funding_rates"], DAYS, DAYS, {}, LIMIT)
    assert counted.calls == counted.requests > 0


def test_the_seconds_in_all_count_the_bookkeeping_of_each_day() -> None:
    """Twenty instruments for two years are 14,600 days with few requests."""
    listed = datetime(2020, 1, 1, tzinfo=UTC)
    names = [f"A{n}_USDC-PERPETUAL" for n in range(20)]
    days = {name: list(days_between(date(2022, 1, 1), date(2023, 12, 31))) for name in names}
    instruments = {name: Instrument(name, "future", listed, None) for name in names}
    hours = CANDLES[Resolution.HOUR_1]
    counted = estimate(hours, days, days, instruments, Limit(20.0, 100))
    assert counted.seconds < 10
    assert 10 < counted.seconds_in_all < 40
    proved = estimate(hours, days, {}, instruments, Limit(20.0, 100))
    assert (proved.proved, proved.seconds) == (14_600, 0.0)
    assert proved.seconds_in_all < 5
