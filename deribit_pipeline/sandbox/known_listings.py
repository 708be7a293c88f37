"""The instruments of the sandbox: real names and listing dates, and Deribit's specifications."""

from collections.abc import Iterator

from deribit_pipeline.sandbox.drivers import PRICES
from deribit_pipeline.sandbox.expiring import expiring
from deribit_pipeline.sandbox.listing import Listing, ms_of


def _inverse() -> Iterator[Listing]:
    for base, created, tick, least, activity, turnover in (
        ("BTC", "2018-08-14T10:24:47", 0.5, 10.0, 0.985, 300_000.0),
        ("ETH", "2019-03-14T13:00:54", 0.05, 1.0, 0.96, 120_000.0),
    ):
        name, price = f"{base}-PERPETUAL", PRICES[base]
        yield Listing(name, ms_of(created), price, tick, least, activity, turnover)


def _linear() -> Iterator[Listing]:
    for base, created, tick, least, activity, turnover in (
        ("BTC", "2022-03-09T11:12:22", 0.5, 0.001, 0.90, 60_000.0),
        ("ETH", "2022-03-14T13:00:00", 0.05, 0.01, 0.85, 30_000.0),
        ("SOL", "2022-03-15T13:00:00", 0.01, 0.1, 0.75, 9_000.0),
        ("XRP", "2022-03-16T12:59:59", 0.0001, 10.0, 0.60, 4_000.0),
        ("AVAX", "2022-03-17T13:00:00", 0.01, 0.1, 0.35, 1_500.0),
        ("ADA", "2022-03-21T13:00:00", 0.0001, 10.0, 0.35, 1_500.0),
        ("DOT", "2022-03-22T13:00:00", 0.001, 1.0, 0.30, 1_200.0),
        ("LTC", "2022-04-28T13:00:00", 0.01, 0.1, 0.30, 1_000.0),
        ("UNI", "2022-04-28T13:00:00", 0.001, 1.0, 0.25, 800.0),
        ("LINK", "2022-04-28T13:00:00", 0.001, 1.0, 0.30, 1_000.0),
        ("NEAR", "2022-04-28T13:00:00", 0.001, 1.0, 0.25, 800.0),
        ("TRX", "2022-04-28T13:00:00", 0.00001, 10.0, 0.25, 800.0),
        ("DOGE", "2022-04-28T13:00:00", 0.00001, 10.0, 0.40, 1_500.0),
        ("BCH", "2022-04-28T13:00:00", 0.05, 0.01, 0.30, 1_000.0),
        ("BNB", "2023-06-13T08:00:00", 0.05, 0.01, 0.30, 1_000.0),
        ("TRUMP", "2025-01-20T10:00:00", 0.001, 1.0, 0.40, 1_500.0),
        ("HYPE", "2025-06-03T10:00:00", 0.001, 1.0, 0.45, 2_000.0),
        ("PAXG", "2025-06-03T10:00:00", 0.05, 0.001, 0.20, 700.0),
    ):
        name, price = f"{base}_USDC-PERPETUAL", PRICES[base]
        yield Listing(name, ms_of(created), price, tick, least, activity, turnover)


def _spot() -> Iterator[Listing]:
    # Routed to another venue since 2026-08-18: listed, but without any history here.
    yield Listing(
        "BTC_USDC",
        ms_of("2023-04-24T09:00:00"),
        PRICES["BTC"],
        1.0,
        0.0001,
        0.5,
        5_000.0,
        kind="spot",
    )


LISTINGS = (*_inverse(), *_linear(), *_spot(), *expiring())
