"""Assumptions about candle responses: bounds, limit, and opening times."""

from datetime import timedelta
from functools import partial

import numpy as np

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    NotTested,
    Responses,
    compared,
)
from deribit_pipeline.assumptions.probe_requests import ANCHORED
from deribit_pipeline.datasets.candles.requests import MOST_CANDLES
from deribit_pipeline.datasets.candles.rollup import origin_of
from deribit_pipeline.datasets.candles.wire import candles
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.windows import LATENCY, from_ms, moment64

_MINUTE, _AT_ONCE = np.timedelta64(60_000, "ms"), np.timedelta64(0, "ms")


def returned_candles(responses: Responses, name: str) -> Candles:
    """The candles of a response. Raises NotTested if there are none."""
    returned = responses.read(name, candles)
    if not len(returned):
        raise NotTested(f"the response to {name} has no candles")
    return returned


def _most(responses: Responses) -> Comparison:
    start, as_of = responses.requested("running", "start_timestamp"), responses.as_of("running")
    possible = (as_of - from_ms(start)) // timedelta(minutes=1) + 1
    came = len(responses.read("running", candles))
    return compared(
        f"{MOST_CANDLES + 1:,} candles of {possible:,}",
        f"{came:,} candles of {possible:,}",
    )


def _kept_end(responses: Responses) -> Comparison:
    returned, as_of = returned_candles(responses, "running"), moment64(responses.as_of("running"))
    first = moment64(from_ms(responses.requested("running", "start_timestamp")))
    if returned.opened_at[0] < first + _MINUTE and returned.opened_at[-1] > as_of - 2 * _MINUTE:
        raise NotTested("no candle of the long window was dropped")
    is_newest = bool(returned.opened_at[-1] > as_of - 2 * _MINUTE)
    return compared("the newest are kept", f"{_span(returned)} of a window up to {as_of}",
                    holds=is_newest)  # fmt: skip


def _start(responses: Responses) -> Comparison:
    start = from_ms(responses.requested("day", "start_timestamp"))
    return compared(moment64(start), returned_candles(responses, "day").opened_at[0])


def _end(responses: Responses) -> Comparison:
    end = from_ms(responses.requested("day", "end_timestamp"))
    return compared(moment64(end), returned_candles(responses, "day").opened_at[-1])


def _unaligned(responses: Responses) -> Comparison:
    start = moment64(from_ms(responses.requested("hours", "start_timestamp")))
    floored = start.astype("datetime64[h]").astype("datetime64[ms]")
    return compared(floored, returned_candles(responses, "hours").opened_at[0])


def _running(responses: Responses) -> Comparison:
    last, as_of = returned_candles(responses, "running").opened_at[-1], responses.as_of("running")
    is_open = bool(last + _MINUTE > moment64(as_of))
    found = f"the last candle opened at {last}, and it was {moment64(as_of)}"
    return compared("a candle that is not over", found, holds=is_open)


def _latency(responses: Responses) -> Comparison:
    last, as_of = returned_candles(responses, "running").opened_at[-1], responses.as_of("running")
    late = last - moment64(as_of)
    return compared(
        f"at most {_seconds(LATENCY)} after the request",
        f"the newest {_seconds(abs(late))} {'after' if late > _AT_ONCE else 'before'} it",
        holds=bool(late <= LATENCY),
    )


def _anchor(resolution: Resolution, responses: Responses) -> Comparison:
    opened_at = returned_candles(responses, f"anchor-{resolution.value}").opened_at
    step = np.timedelta64(resolution.duration, "ms")
    midnight = opened_at.astype("datetime64[D]")
    found = sorted(set(map(_clock, (opened_at - midnight) % step)))
    origin = origin_of(resolution)
    assumed = (moment64(origin) - np.datetime64(origin.date(), "ms")) % step
    return compared(_clock(assumed), ", ".join(found))


def _span(returned: Candles) -> str:
    return f"{returned.opened_at[0]} to {returned.opened_at[-1]}"


def _seconds(duration: np.timedelta64) -> str:
    return f"{duration / np.timedelta64(1_000, 'ms'):.0f} s"


def _clock(after_midnight: np.timedelta64) -> str:
    minutes = int(after_midnight // _MINUTE)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _anchors() -> list[Assumption]:
    sources = {
        "120": (Known.OPEN, "it divides eight hours: 00:00 and 08:00 make the same candles"),
        "1D": (Known.RECORDED, "2,727 of 2,727 recorded daily candles of BTC-PERPETUAL"),
    }
    found = []
    for text in ANCHORED:
        resolution = Resolution(text)
        known, source = sources.get(text, (Known.OPEN, "no source decides between 00:00 and 08:00"))
        is_known = resolution.anchor is not None
        clock = f"{origin_of(resolution):%H:%M}"
        found.append(
            Assumption(
                f"candles-anchor-{text.lower()}",
                f"Candles of resolution {text} open at {clock} UTC and every "
                f"{resolution.label} from there.",
                known,
                source,
                "Days of this resolution cannot be proved: report it to the maintainers."
                if is_known
                else "The candles are stored right, for their grid is read off the response. Those "
                "that the reader makes of minutes open at other times than the exchange's.",
                partial(_anchor, resolution),
            )
        )
    return found


CHARTS = (
    Assumption(
        "candles-most",
        f"A response holds at most {MOST_CANDLES + 1:,} candles, and `status` stays `ok`.",
        Known.SEEN,
        "three independent measurements",
        "With fewer, long windows are cut: each request is made again in halves, and history takes "
        "longer. With more, fewer requests would do. Nothing is stored wrong.",
        _most,
    ),
    Assumption(
        "candles-kept-end",
        "Of a window with more candles the newest are kept, the oldest dropped.",
        Known.SEEN,
        "three independent measurements",
        "Nothing is stored wrong: a response that is as long as the limit is never trusted.",
        _kept_end,
    ),
    Assumption(
        "candles-start",
        "A candle that opens at `start_timestamp` is in the response.",
        Known.OPEN,
        "one report saw it skipped: github.com/ccxt/ccxt/issues/21061",
        "Nothing: each request begins one candle earlier than needed.",
        _start,
    ),
    Assumption(
        "candles-end",
        "A candle that opens at `end_timestamp` is in the response.",
        Known.SEEN,
        "neighbouring windows share the candle between them",
        "Nothing: `end_timestamp` is a millisecond before the end of a window.",
        _end,
    ),
    Assumption(
        "candles-unaligned",
        "A start within a candle is floored to the opening of that candle.",
        Known.GUESS,
        "",
        "Nothing: candles outside the window are filtered out, and missing ones requested again.",
        _unaligned,
    ),
    *_anchors(),
    Assumption(
        "candles-running",
        "The candle that is not over is returned as the last one, with what it has so far.",
        Known.RECORDED,
        "a recorded chart of BTC-PERPETUAL",
        "Nothing: only candles that are over by the exchange's clock are stored.",
        _running,
    ),
    Assumption(
        "candles-latency",
        f"A row of a response is at most {_seconds(LATENCY)} newer than the request.",
        Known.GUESS,
        "",
        "Responses are refused as being from the future: report it to the maintainers.",
        _latency,
    ),
)
