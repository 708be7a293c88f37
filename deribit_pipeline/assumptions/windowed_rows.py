"""Assumptions about funding and the volatility index: bounds, limits, history start,
aggregation."""

import numpy as np
from numpy.typing import NDArray

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    NotTested,
    Responses,
    compared,
)
from deribit_pipeline.datasets.funding_rates import source as funding
from deribit_pipeline.datasets.funding_rates.listing import BEGAN
from deribit_pipeline.datasets.funding_rates.wire import rates
from deribit_pipeline.datasets.funding_rates.witness import EightHours
from deribit_pipeline.datasets.volatility_index import source as volatility_index
from deribit_pipeline.datasets.volatility_index.wire import IndexPage, index_page
from deribit_pipeline.datasets.volatility_index.witness import HoursOfMinutes
from deribit_pipeline.domain.rows import Columns, some_of
from deribit_pipeline.domain.windows import from_ms, moment64
from deribit_pipeline.engine import witness

_MINUTE, _HOUR = np.timedelta64(60_000, "ms"), np.timedelta64(3_600_000, "ms")


def _hours(responses: Responses, name: str) -> Columns:
    """The hours of funding of a response. Raises NotTested if there are none."""
    returned = responses.read(name, rates)
    if not len(returned["funded_at"]):
        raise NotTested(f"the response to {name} has no rows")
    return returned


def _bound(responses: Responses, name: str, bound: str) -> np.datetime64:
    return moment64(from_ms(responses.requested(name, f"{bound}_timestamp")))


def _funding_most(responses: Responses) -> Comparison:
    start, end = (_bound(responses, "funding-overflow", bound) for bound in ("start", "end"))
    came = len(responses.read("funding-overflow", rates)["funded_at"])
    possible = (end - start) // _HOUR
    return compared(f"{funding.HOURS.most} rows of {possible}", f"{came} rows of {possible}")


def _funding_kept_end(responses: Responses) -> Comparison:
    ends = _hours(responses, "funding-overflow")["funded_at"]
    start, end = (_bound(responses, "funding-overflow", bound) for bound in ("start", "end"))
    has_first, has_last = ends[0] <= start + _HOUR, ends[-1] > end - 2 * _HOUR
    if has_first and has_last:
        raise NotTested("no row of the long window was dropped")
    return compared(
        "the newest are kept", f"{ends[0]} to {ends[-1]} of a window up to {end}",
        holds=bool(has_last),
    )  # fmt: skip


def _funding_start(responses: Responses) -> Comparison:
    start = _bound(responses, "funding-day", "start")
    return compared(start + _HOUR, _hours(responses, "funding-day")["funded_at"].min())


def _funding_end(responses: Responses) -> Comparison:
    end = _bound(responses, "funding-day", "end")
    return compared(end, _hours(responses, "funding-day")["funded_at"].max())


def _funding_sums(responses: Responses) -> Comparison:
    sums = EightHours(is_linear=False).compared([_in_order(_hours(responses, "funding-day"))])[0]
    return _witnessed(sums)


def _funding_chain(responses: Responses) -> Comparison:
    chain = EightHours(is_linear=False).compared([_in_order(_hours(responses, "funding-day"))])[1]
    return _witnessed(chain)


def _witnessed(compared_rows: witness.Comparison) -> Comparison:
    """The pipeline's own comparison of rows with a second source, as a verdict."""
    if not compared_rows.count:
        raise NotTested(f"the responses have nothing to compare {compared_rows.what} with")
    others = compared_rows.disagreements
    found = f"{len(others)} of {compared_rows.count} disagree"
    found += f", such as {others[0].moment}: {others[0].what}" if others else ""
    return compared(f"{compared_rows.what} agree", found, holds=not others)


def _in_order(rows: Columns) -> Columns:
    """The rows sorted by time, each timestamp once."""
    first: NDArray[np.intp] = np.unique(next(iter(rows.values())), return_index=True)[1]
    return some_of(rows, first)


def _funding_began(responses: Responses) -> Comparison:
    return compared(moment64(BEGAN), _hours(responses, "funding-began")["funded_at"].min())


def _page(responses: Responses, name: str) -> IndexPage:
    """A page of DVOL, sorted by time. Raises NotTested if it is empty."""
    page = responses.read(name, index_page)
    if not len(page.candles["opened_at"]):
        raise NotTested(f"the response to {name} has no candles")
    return page


def _dvol_most(responses: Responses) -> Comparison:
    start, as_of = _bound(responses, "dvol", "start"), moment64(responses.as_of("dvol"))
    came = len(responses.read("dvol", index_page).candles["opened_at"])
    possible = (as_of - start) // _MINUTE + 1
    return compared(
        f"{volatility_index.MINUTES.most:,} candles of {possible:,}",
        f"{came:,} candles of {possible:,}",
    )


def _dvol_kept_end(responses: Responses) -> Comparison:
    opened_at = _page(responses, "dvol").candles["opened_at"]
    end = _bound(responses, "dvol", "end")
    return compared(
        "the newest are kept", f"{opened_at.min()} to {opened_at.max()} of a window up to {end}",
        holds=bool(opened_at.max() > end - 10 * _MINUTE),
    )  # fmt: skip


def _dvol_running(responses: Responses) -> Comparison:
    last = _page(responses, "dvol").candles["opened_at"].max()
    as_of = moment64(responses.as_of("dvol"))
    found = f"the last candle opened at {last}, and it was {as_of}"
    return compared("a candle that is not over", found, holds=bool(last + _MINUTE > as_of))


def _dvol_continuation(responses: Responses) -> Comparison:
    """The older page must reach the newer one; repeating its first candle is accepted."""
    assumed = "a page that ends a minute before the newer one begins, or with its first candle"
    newer, start = _page(responses, "dvol"), _bound(responses, "dvol", "start")
    first = newer.candles["opened_at"].min()
    if newer.continuation is None and first > start:
        found = f"no continuation, and the page begins at {first} of a window from {start} on"
        return compared(assumed, found, holds=False)
    last = _page(responses, "dvol-older").candles["opened_at"].max()
    apart = int((first - last) // _MINUTE)
    return compared(assumed, f"it ends {apart} min before", holds=apart in (0, 1))


def _dvol_last_page(responses: Responses) -> Comparison:
    page, start = _page(responses, "dvol-older"), _bound(responses, "dvol-older", "start")
    first = page.candles["opened_at"].min()
    if first > start:
        raise NotTested(f"the second page begins at {first}, after the start of the window")
    return compared("none", "none" if page.continuation is None else page.continuation)


def _dvol_sums(responses: Responses) -> Comparison:
    pages = [_page(responses, name).candles for name in ("dvol-older", "dvol")]
    minutes = {name: np.concatenate([page[name] for page in pages]) for name in pages[0]}
    now = moment64(responses.as_of("dvol"))
    is_over: NDArray[np.bool_] = np.less_equal(minutes["opened_at"] + _MINUTE, now)
    hours = _in_order(_page(responses, "dvol-hours").candles)
    sums = HoursOfMinutes().compared([hours, _in_order(some_of(minutes, is_over))])[0]
    return _witnessed(sums)


def _dvol_began(responses: Responses) -> Comparison:
    began = _page(responses, "dvol-began").candles["opened_at"].min()
    return compared(volatility_index.LIFE.start.date(), began.astype("datetime64[D]").item())


WINDOWED = (
    Assumption(
        "funding-most",
        f"A response holds at most {funding.HOURS.most} hours of funding.",
        Known.SEEN,
        "",
        "With fewer, windows are requested again in halves. With more, fewer requests would do.",
        _funding_most,
    ),
    Assumption(
        "funding-kept-end",
        f"Of a window with more than {funding.HOURS.most} hours the newest are kept.",
        Known.OPEN,
        "",
        "Nothing: no window is that long, and a response that is as long as the limit is never "
        "trusted.",
        _funding_kept_end,
    ),
    Assumption(
        "funding-start",
        "`start_timestamp` is exclusive: an hour that ends then is not in the response.",
        Known.SEEN,
        "",
        "Nothing: requests begin a millisecond earlier.",
        _funding_start,
    ),
    Assumption(
        "funding-end",
        "`end_timestamp` is inclusive: an hour that ends then is in the response.",
        Known.SEEN,
        "",
        "Nothing: requests end a millisecond before the next hour does.",
        _funding_end,
    ),
    Assumption(
        "funding-sums",
        "`interest_8h` is the sum of eight hours: of an inverse perpetual the sum of rate over "
        "index, as a share of the position at their beginning.",
        Known.RECORDED,
        "17 recorded hours of BTC-PERPETUAL",
        "The cross-check is given up with one warning, and the verdict of each day notes it; the "
        "check `eight_hour_funding_adds_up` warns.",
        _funding_sums,
    ),
    Assumption(
        "funding-chain",
        "An hour of funding begins at the index at which the hour before it ended: its "
        "`prev_index_price` is the `index_price` before.",
        Known.RECORDED,
        "17 recorded hours of BTC-PERPETUAL",
        "The cross-check is given up with one warning, and the verdict of each day notes it.",
        _funding_chain,
    ),
    Assumption(
        "funding-began",
        f"The first hour of BTC-PERPETUAL's funding ended at {BEGAN:%Y-%m-%d %H:%M} UTC.",
        Known.SEEN,
        "",
        "Hours before are not requested; if it began later, days about then stay `gapped`.",
        _funding_began,
        is_of_mainnet=True,
    ),
    Assumption(
        "dvol-most",
        f"A response holds at most {volatility_index.MINUTES.most:,} candles of DVOL.",
        Known.SEEN,
        "",
        "With fewer, more pages are fetched. With more, fewer requests would do.",
        _dvol_most,
    ),
    Assumption(
        "dvol-kept-end",
        "Of a window with more candles of DVOL the newest are returned first.",
        Known.SEEN,
        "",
        "Pages do not follow one another: days of DVOL fail. Report it to the maintainers.",
        _dvol_kept_end,
    ),
    Assumption(
        "dvol-continuation",
        "`continuation` is the `end_timestamp` of the older page, which ends where the newer one "
        "begins.",
        Known.SEEN,
        "whether it repeats the newer page's first candle is open; either is accepted",
        "Minutes between two pages are missing: days of DVOL are `gapped`. Report it to the "
        "maintainers.",
        _dvol_continuation,
    ),
    Assumption(
        "dvol-last-page",
        "`continuation` is null where the page reaches the start of the window.",
        Known.SEEN,
        "",
        "One more page is requested for each window; nothing is stored wrong.",
        _dvol_last_page,
    ),
    Assumption(
        "dvol-running",
        "The candle of DVOL that is not over is in the response.",
        Known.SEEN,
        "",
        "Nothing: only candles that are over by the exchange's clock are stored.",
        _dvol_running,
    ),
    Assumption(
        "dvol-sums",
        "An hour of DVOL is made of its minutes: first open, highest high, lowest low, last close.",
        Known.GUESS,
        "",
        "The cross-check is given up with one warning, and the verdict of each day notes it.",
        _dvol_sums,
    ),
    Assumption(
        "dvol-began",
        f"The first candle of DVOL is of {volatility_index.LIFE.start:%Y-%m-%d}.",
        Known.SEEN,
        "the day is known, its first hour is not",
        "Days before are not requested; if it began later, days about then stay `gapped`.",
        _dvol_began,
        is_of_mainnet=True,
    ),
)
