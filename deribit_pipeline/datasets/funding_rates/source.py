"""The source of hourly funding rates of perpetuals."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.funding_rates import wire as funding
from deribit_pipeline.datasets.funding_rates.listing import HISTORY
from deribit_pipeline.datasets.funding_rates.witness import EightHours
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import TimeWindow, day_window, to_ms
from deribit_pipeline.engine.grid_windows import SeriesGrid
from deribit_pipeline.engine.sampling_grid import SamplingGrid
from deribit_pipeline.engine.windowed_source import RequestPlan, WindowedSource
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.readings import ResponseRows
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import agreed_listing, listings
from deribit_pipeline.warehouse.warehouse import Warehouse

_CONTROL = "BTC-PERPETUAL"
_MILLISECOND = timedelta(milliseconds=1)

# The time of a row is the end of its hour, which is over then. At most 744 are returned, the newest
# ones of a longer window: assumption:funding-most, assumption:funding-kept-end.
# A request includes the seven hours before the first one, which its `interest_8h` includes.
HOURS = SamplingGrid("funded_at", timedelta(hours=1), lasts=timedelta(0), most=744, lead=7)


async def get_funding_rate_history(
    client: DeribitClient, instrument_name: str, window: TimeWindow
) -> ResponseRows:
    """`public/get_funding_rate_history`: the hours that end in `window`.

    The exchange returns at most 744 hours and silently drops the others: the caller must count
    the returned ones. The start is exclusive (assumption:funding-start), the end inclusive
    (assumption:funding-end); no hour ends within the millisecond by which the bounds are widened,
    so an inclusive start would give the same result.
    """
    returned = await client.call(
        funding.reading,
        funding.HISTORY,
        instrument_name=instrument_name,
        start_timestamp=to_ms(window.start) - 1,
        end_timestamp=to_ms(window.end) - 1,
    )
    return returned.value.with_time(returned.as_of)


class FundingRates(WindowedSource):
    """The hours of a perpetual. Other instruments have no funding: their days are not listed."""

    dataset = FUNDING_RATES
    sampling_grids = (HOURS,)
    nothing = funding.rates([])

    async def request_plan(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> RequestPlan:
        """The hours that overlap the listing, since the first published one."""
        instrument = await _listing(exchange, warehouse, series, days)
        witness = EightHours(is_linear="_" in series)
        # The first hour ends after the listing, the last one at the delisting.
        listed = TimeWindow(
            instrument.listed_at + _MILLISECOND,
            instrument.expires_at + _MILLISECOND if instrument.expires_at else HISTORY.end,
        )
        life = listed.intersection(HISTORY)
        if not _is_perpetual(instrument) or life is None:
            return RequestPlan(None, witness)
        series_grid = SeriesGrid(HOURS, life, funding.HISTORY, {"instrument_name": series})

        request = partial(get_funding_rate_history, exchange.client, series)
        control = partial(get_funding_rate_history, exchange.client, _CONTROL)
        return RequestPlan(
            listed, witness, [(series_grid, request)], None if series == _CONTROL else control
        )


def _is_perpetual(instrument: Instrument) -> bool:
    """Whether it has funding; a delisted perpetual has an expiry."""
    is_named_so = instrument.instrument_name.endswith("-PERPETUAL")
    return instrument.kind == "future" and (instrument.expires_at is None or is_named_so)


async def _listing(
    exchange: Exchange, warehouse: Warehouse, name: str, days: Sequence[date]
) -> Instrument:
    """The listing of the instrument; requested until two responses agree if it excludes some of the
    days."""

    found, _ = await listings(exchange, warehouse, [name])
    instrument = found[name]
    is_whole = instrument.listed_at < day_window(days[0]).start and (
        instrument.expires_at is None or day_window(days[-1]).end <= instrument.expires_at
    )
    if is_whole and _is_perpetual(instrument):
        return instrument
    return await agreed_listing(exchange, warehouse, name)


SOURCE = FundingRates()
