"""Assumptions about candle values: minutes without trades, aggregation, revisions, availability."""

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
from deribit_pipeline.assumptions.chart_responses import returned_candles
from deribit_pipeline.assumptions.probe_requests import EXPIRED, EXPIRED_AT, SERIES, listing
from deribit_pipeline.datasets.candles.cross_check import coarser_of, compare
from deribit_pipeline.datasets.candles.pages import in_common
from deribit_pipeline.datasets.candles.wire import candles
from deribit_pipeline.domain.candles import CANDLE_VALUES, Resolution
from deribit_pipeline.domain.windows import END_OF_TIME, TimeWindow, from_ms, moment64
from deribit_pipeline.exchange.codes import ROUTED_SPOT

_MINUTE, _HOUR = np.timedelta64(60_000, "ms"), np.timedelta64(3_600_000, "ms")
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _COST = range(len(CANDLE_VALUES))

# The exchange rounds amounts of base currency to 8 decimals, and of quote currency to 6.
_ROUNDING = {_VOLUME: 1e-8, _COST: 1e-6}


def _fillers(responses: Responses) -> Comparison:
    returned = returned_candles(responses, "quiet")
    name = responses.of("quiet").params["instrument_name"]
    start, end = (
        moment64(from_ms(responses.requested("quiet", f"{bound}_timestamp")))
        for bound in ("start", "end")
    )
    absent = int((end - start) // _MINUTE) + 1 - len(returned)
    values = returned.values
    quiet = np.flatnonzero(values[1:, _VOLUME] == 0) + 1
    if not len(quiet) and not absent:
        raise NotTested(f"every minute of {name} had a trade")
    is_flat = values[quiet, :_VOLUME] == values[quiet - 1, _CLOSE][:, None]
    others = int(np.count_nonzero(~is_flat.all(axis=1) | (values[quiet, _COST] != 0)))
    return compared(
        "every minute is there; without a trade it repeats the last close with volume 0",
        f"{len(quiet):,} minutes of {name} without a trade: {others:,} of them with other values, "
        f"and {absent:,} minutes are absent",
        holds=not others and not absent,
    )


def _volumes(responses: Responses) -> Comparison:
    values = returned_candles(responses, "day").values
    values = values[values[:, _VOLUME] > 0]
    if not len(values):
        raise NotTested("no candle has a volume")
    volume, cost = values[:, _VOLUME], values[:, _COST]
    least = values[:, _LOW] * (volume - _ROUNDING[_VOLUME]) - _ROUNDING[_COST]
    most = values[:, _HIGH] * (volume + _ROUNDING[_VOLUME]) + _ROUNDING[_COST]
    off = np.flatnonzero((cost < least) | (cost > most))
    found = f"{len(off):,} of {len(values):,} candles where it is outside"
    if len(off):
        first = values[off[0]]
        found += f", such as {first[_COST] / first[_VOLUME]:g} in {first[_LOW]} to {first[_HIGH]}"
    return compared("cost / volume within low and high", found, holds=not len(off))


def _sums(name: str, coarse: str, resolution: Resolution, responses: Responses) -> Comparison:
    """The candles of one response, compared with the coarser candles of another as the pipeline
    does it."""
    listed = TimeWindow(from_ms(0), END_OF_TIME)
    shorter, longer = returned_candles(responses, name), returned_candles(responses, coarse)
    made = compare(shorter, resolution, listed, longer)
    agreeing = len(np.unique(made.agreeing)) * resolution.duration // _longer(resolution)
    if not agreeing and not made.disagreements:
        raise NotTested("no longer candle was returned with all of its shorter ones")
    others = made.disagreements
    found = f"{len(others)} of {agreeing + len(others)} longer candles are not"
    found += f", such as {others[0].what}" if others else ""
    return compared("every longer candle is made of the shorter ones", found, holds=not others)


def _longer(resolution: Resolution) -> timedelta:
    coarser = coarser_of(resolution)
    assert coarser is not None
    return coarser.duration


def _closed(responses: Responses) -> Comparison:
    ours, theirs = in_common(
        returned_candles(responses, "day"), returned_candles(responses, "running")
    )
    if not len(ours):
        raise NotTested("the two windows share no candle")
    changed = int(np.count_nonzero((ours.values != theirs.values).any(axis=1)))
    found = f"{changed:,} of {len(ours):,} closed candles differ between two windows"
    return compared("equal values", found, holds=not changed)


def _spot(responses: Responses) -> Comparison:
    response = responses.of("spot")
    name = response.params["instrument_name"]
    found = f"{name}: candles" if response.code is None else f"{name}: error {response.code}"
    return compared(f"{name}: error {ROUTED_SPOT}", found)


def _listing(responses: Responses) -> Comparison:
    listed_at = responses.read("instruments", listing)
    if listed_at is None:
        raise NotTested(f"the listing of {SERIES} is not known")
    # Floored to the minute, as numpy truncates to coarser units.
    assumed = moment64(listed_at).astype("datetime64[m]").astype("datetime64[ms]")
    return compared(assumed, returned_candles(responses, "listing").opened_at[0])


def _expiry(responses: Responses) -> Comparison:
    assumed = moment64(EXPIRED_AT) - _HOUR
    return compared(assumed, returned_candles(responses, "expired").opened_at[-1])


def _expired(responses: Responses) -> Comparison:
    response = responses.of("expired")
    if response.message:
        return compared(f"candles of {EXPIRED}", f"a refusal: {response.message}")
    came = len(responses.read("expired", candles))
    return compared(f"candles of {EXPIRED}", f"{came:,} candles of it", holds=came > 0)


CANDLES = (
    Assumption(
        "candles-fillers",
        "A minute without a trade has a candle too: open, high, low and close are the last traded "
        "close, volume and cost are 0.",
        Known.DOCUMENTED,
        "also seen in recorded charts",
        "Quiet minutes are gaps, and days of rarely traded instruments stay `gapped`.",
        _fillers,
    ),
    Assumption(
        "candles-volume",
        "`volume` is in base and `cost` in quote currency: cost / volume is a price within low "
        "and high.",
        Known.RECORDED,
        "a recorded chart of BTC-PERPETUAL",
        "`volume_base` and `volume_quote` mean something else: do not use them.",
        _volumes,
    ),
    Assumption(
        "candles-sums",
        "An hour is made of its minutes: highest high, lowest low, last close, sums of volume and "
        "cost, and the first open where the first minute has a trade; minutes that repeat the last "
        "close without a trade may be left out.",
        Known.GUESS,
        "",
        "The cross-check is given up with one warning, and the verdict of each day notes it; "
        "a backfill that requests each window twice makes up for it. Candles that the reader makes "
        "of minutes are not the exchange's.",
        partial(_sums, "day", "hours", Resolution.MINUTE_1),
    ),
    Assumption(
        "candles-sums-day",
        "A candle of 1D is made of its hours in the same way.",
        Known.GUESS,
        "",
        "The cross-check is given up with one warning, and the verdict of each day notes it; "
        "a backfill that requests each window twice makes up for it.",
        partial(_sums, "hours", "anchor-1D", Resolution.HOUR_1),
    ),
    Assumption(
        "candles-closed",
        "A candle that is over no longer changes. Tested on candles a day and more after their "
        "close, requested twice within seconds in different windows: later changes do not show.",
        Known.OPEN,
        "wrong candles were reported and mended: github.com/deribit/deribit-api-clients/issues/27",
        "Stored candles are revised: `candle_revisions` keeps the former values.",
        _closed,
    ),
    Assumption(
        "candles-spot",
        f"Candles of spot pairs are refused with error {ROUTED_SPOT}, which is final.",
        Known.DOCUMENTED,
        "since 2026-08-18 most pairs are routed to another venue",
        "Spot pairs have candles again: backfill them.",
        _spot,
    ),
    Assumption(
        "candles-expired",
        "The archive host has the candles of expired instruments.",
        Known.SEEN,
        "",
        "Instruments that expired more than some days ago cannot be backfilled.",
        _expired,
        is_of_mainnet=True,
    ),
    Assumption(
        "candles-listing",
        "The first candle of an instrument is the one in which it was listed "
        "(`creation_timestamp`); nothing is returned for the time before.",
        Known.GUESS,
        "the day of listing has its daily candle",
        "Candles of the day of listing are gaps, and that day stays `gapped`.",
        _listing,
    ),
    Assumption(
        "candles-expiry",
        "The last candle of an instrument is the one before it expires (`expiration_timestamp`).",
        Known.GUESS,
        "",
        "Candles of the day of expiry are gaps, and that day stays `gapped`.",
        _expiry,
        is_of_mainnet=True,
    ),
)
