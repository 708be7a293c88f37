"""A snapshot is complete if its names are exactly the instruments listed at its instant."""

from datetime import UTC, datetime

import pytest

from deribit_pipeline.datasets.book_summaries.proof import (
    Listing,
    around,
    kinds_of,
    wrong_with,
)
from deribit_pipeline.datasets.book_summaries.wire import Lifetime, Snapshot, snapshot

NOON = int(datetime(2024, 4, 10, 12, tzinfo=UTC).timestamp() * 1000)
EXPIRY = NOON + 3_600_000


def listing(as_of_ms: int, **lives: Lifetime) -> Listing:
    return Listing(as_of_ms, {name.replace("_", "-"): life for name, life in lives.items()})


def taken(*names: str, at_ms: int = NOON) -> Snapshot:
    return snapshot([entry(name, at_ms) for name in names])


def entry(name: str, at_ms: int = NOON) -> dict[str, object]:
    return {"instrument_name": name, "creation_timestamp": at_ms, "mark_price": 0.05}


PERPETUAL = Lifetime("future", 0, None)
FUTURE = Lifetime("future", NOON - 60_000, EXPIRY)
LISTED = listing(NOON - 1_000, BTC_PERPETUAL=PERPETUAL, BTC_12APR24=FUTURE)


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        (["BTC-12APR24", "BTC-PERPETUAL"], None),
        (["BTC-PERPETUAL"], "listed instruments are missing (BTC-12APR24)"),
        (
            ["BTC-12APR24", "BTC-PERPETUAL", "ETH-PERPETUAL"],
            "it contains instruments of another currency (ETH-PERPETUAL)",
        ),
        (
            ["BTC-12APR24", "BTC-19APR24", "BTC-PERPETUAL"],
            "it contains instruments that are not listed (BTC-19APR24)",
        ),
        (["BTC-12APR24", "BTC-PERPETUAL", "BTC-FS-12APR24_PERP"], None),
    ],
    ids=["exact", "cut", "another currency", "not listed", "a combo"],
)
def test_names_are_exactly_those_listed(names: list[str], wrong: str | None) -> None:
    assert wrong_with(taken(*names), "BTC", [LISTED]) == wrong


def test_another_currencys_whole_response_is_not_complete_with_its_own_listing() -> None:
    theirs = listing(NOON - 1_000, ETH_PERPETUAL=PERPETUAL)
    wrong = wrong_with(taken("ETH-PERPETUAL"), "BTC", [theirs])
    assert wrong == "it contains instruments of another currency (ETH-PERPETUAL)"


@pytest.mark.parametrize("offset", [-2_000, 0, 2_000])
@pytest.mark.parametrize("names", [["BTC-PERPETUAL"], ["BTC-12APR24", "BTC-PERPETUAL"]])
def test_what_expires_within_two_seconds_may_be_missing(offset: int, names: list[str]) -> None:
    snapped = taken(*names, at_ms=EXPIRY + offset)
    assert wrong_with(snapped, "BTC", [LISTED]) is None


def test_what_is_created_after_the_first_listing_is_required_by_the_second() -> None:
    created = Lifetime("option", NOON + 10_000, EXPIRY)
    later = listing(NOON + 60_000, BTC_PERPETUAL=PERPETUAL, BTC_12APR24_70000_C=created)
    both = around([LISTED, later], NOON + 20_000)
    assert both == [LISTED, later]
    cut = taken("BTC-12APR24", "BTC-PERPETUAL", at_ms=NOON + 20_000)
    assert wrong_with(cut, "BTC", [LISTED]) is None
    assert wrong_with(cut, "BTC", both) == ("listed instruments are missing (BTC-12APR24-70000-C)")


def test_around_an_instant_are_the_last_listing_before_it_and_the_first_after_it() -> None:
    listings = [listing(NOON + n * 1_000) for n in (-3, -1, 1, 3)]
    assert [each.as_of_ms - NOON for each in around(listings, NOON)] == [-1_000, 1_000]
    assert [each.as_of_ms - NOON for each in around(listings[:2], NOON)] == [-1_000]
    assert around([], NOON) == []


def test_without_a_listing_no_snapshot_is_complete() -> None:
    assert wrong_with(taken("BTC-PERPETUAL"), "BTC", []) == "no listing is known"


def test_the_kind_of_a_combo_that_no_listing_has_follows_from_its_name() -> None:
    snapped = taken("BTC-12APR24", "BTC-CS-12APR24-60000_65000", "BTC-FS-12APR24_PERP")
    assert kinds_of(snapped, [LISTED]) == ["future", "option_combo", "future_combo"]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [entry("BTC-PERPETUAL"), entry("BTC-PERPETUAL")],
        [entry("BTC-PERPETUAL"), entry("BTC-12APR24", NOON + 1)],
        [entry("BTC PERPETUAL")],
        [{**entry("BTC-PERPETUAL"), "mark_price": "0.05"}],
        [{**entry("BTC-PERPETUAL"), "mark_price": float("nan")}],
        [{**entry("BTC-PERPETUAL"), "creation_timestamp": None}],
        [{**entry("BTC-PERPETUAL"), "underlying_index": 7}],
        ["BTC-PERPETUAL"],
        {"BTC-PERPETUAL": entry("BTC-PERPETUAL")},
    ],
    ids=[
        "empty", "twice", "two instants", "a name", "a text", "not a number", "no instant",
        "an index", "no object", "no array",
    ],
)  # fmt: skip
def test_a_malformed_response_is_no_snapshot(entries: object) -> None:
    with pytest.raises(ValueError, match=r"`|twice|returned|array|object"):
        snapshot(entries)
