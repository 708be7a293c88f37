"""The API call for candles."""

from dataclasses import dataclass
from datetime import datetime

from deribit_pipeline.datasets.candles.requests import ChartRequest
from deribit_pipeline.datasets.candles.wire import candles
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.windows import TimeWindow, to_ms
from deribit_pipeline.errors import DeribitBadPayload
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.envelope import Stamp

CHART = "public/get_tradingview_chart_data"


@dataclass(frozen=True, slots=True)
class Chart:
    """The candles of one response, unchanged, and the exchange's time when it received the request
    (assumption:envelope). `stamp` identifies the response: one with another stamp is not a copy."""

    candles: Candles
    as_of: datetime
    stamp: Stamp | None = None


async def get_tradingview_chart_data(
    client: DeribitClient, instrument_name: str, resolution: Resolution, window: TimeWindow
) -> Chart:
    """`public/get_tradingview_chart_data`: the candles that open in `window`.

    The exchange silently drops the oldest candles beyond 5,001, and includes the candle that is
    still open (assumption:candles-running): the caller must count the returned candles.
    """
    params: dict[str, object] = {
        "instrument_name": instrument_name,
        "start_timestamp": to_ms(window.start),
        "end_timestamp": to_ms(window.end) - 1,  # inclusive: assumption:candles-end
        "resolution": resolution.value,
    }
    returned = await client.call(candles, CHART, **params)
    return Chart(returned.value, returned.as_of, returned.stamp)


def unexpected(request: ChartRequest, what: str) -> DeribitBadPayload:
    """The error of a response that breaks an expectation of its request."""
    return DeribitBadPayload(
        what,
        method=CHART,
        params={
            "instrument_name": request.instrument.instrument_name,
            "resolution": request.resolution.value,
            "window": request.window,
        },
    )
