"""Assumptions about book summaries, by which recorded snapshots are proved."""

from deribit_pipeline.assumptions.assumption import (
    Assumption,
    Comparison,
    Known,
    Responses,
    compared,
)
from deribit_pipeline.datasets.book_summaries.proof import RENEWAL, listing, wrong_with
from deribit_pipeline.datasets.book_summaries.wire import snapshot
from deribit_pipeline.domain.specification import settlement_currency
from deribit_pipeline.domain.windows import from_ms, to_ms
from deribit_pipeline.exchange.shapes import array, mapping, text

CURRENCY = "BTC"
"""The currency whose summaries are requested."""


def _instant(responses: Responses) -> Comparison:
    entries = [mapping(entry) for entry in responses.read("summaries", array)]
    moments = {entry.get("creation_timestamp") for entry in entries}
    found = f"{len(moments)} instants in {len(entries)} rows"
    return compared("all rows are of one instant", found, holds=len(moments) == 1)


def _names(responses: Responses) -> Comparison:
    found = responses.read("summaries", snapshot)
    entries = [mapping(entry) for entry in responses.read("instruments", array)]
    own = [
        entry
        for entry in entries
        if settlement_currency(text("instrument_name", entry.get("instrument_name"))) == CURRENCY
    ]
    known = listing(to_ms(responses.as_of("instruments")), CURRENCY, own)
    wrong = wrong_with(found, CURRENCY, [known])
    rows = f"{len(found.names)} rows"
    return compared(
        "exactly the listed futures, options and spot pairs", wrong or rows, holds=not wrong
    )


def _renewed(responses: Responses) -> Comparison:
    at = from_ms(responses.read("summaries", snapshot).at_ms)
    age = responses.as_of("summaries") - at
    most = 2 * RENEWAL
    found = f"they are {age.total_seconds():.1f} s old"
    assumed = f"summaries are at most {most.total_seconds():.0f} s old"
    return compared(assumed, found, holds=age <= most)


SUMMARIES = (
    Assumption(
        "summaries-instant",
        "All rows of `public/get_book_summary_by_currency` have one `creation_timestamp`, the "
        "instant that they describe.",
        Known.SEEN,
        "also in recorded responses",
        "No snapshot is complete: every slot is reported as a gap.",
        _instant,
    ),
    Assumption(
        "summaries-names",
        "Without a kind, `public/get_book_summary_by_currency` has one row for every listed "
        "future, option and spot pair of the currency.",
        Known.SEEN,
        "998 of 998 options",
        "No snapshot is complete: every slot is reported as a gap.",
        _names,
    ),
    Assumption(
        "summaries-renewed",
        "The exchange renews book summaries about every two seconds.",
        Known.SEEN,
        "also in recorded responses",
        "Snapshots are older than their slot and requested again; of very short slots some may "
        "be missed, and are reported.",
        _renewed,
    ),
)
