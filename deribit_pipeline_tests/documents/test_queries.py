"""Every query of the documents runs unchanged, and finds something if there is something."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from deribit_pipeline.datasets.candles import table as candle_tables
from deribit_pipeline.datasets.delivery_prices import DELIVERY_PRICES
from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.historical_volatility import HISTORICAL_VOLATILITY
from deribit_pipeline.datasets.index_prices import INDEX_PRICES
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.datasets.trades import TRADES
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain import proof_tables as dataset_tables
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import Lake, Location
from deribit_pipeline.opening import warehouse_at
from deribit_pipeline.warehouse.instrument_tables import INSTRUMENTS
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold, hold_minutes
from deribit_pipeline_tests.helpers.option_chains import (
    Market,
    expiry_after,
    insert_rows,
    options_of,
)

DOCS = Path(__file__).parents[2] / "docs"


def requested(name: str) -> dict[str, str]:
    """The queries of a document, by the heading above them."""
    parts = re.split(r"^#+ ", (DOCS / name).read_text(), flags=re.MULTILINE)[1:]
    return {
        part.partition("\n")[0]: query
        for part in parts
        for query in re.findall(r"```sql\n(.*?)```", part, re.DOTALL)
    }


QUESTIONS = requested("queries.md")
EXAMPLES = requested("volatility.md") | requested("options.md")
NOON = datetime(2024, 1, 5, 12, tzinfo=UTC)
HOUR, A_MINUTE = timedelta(hours=1), 0.75 / (365 * 1_440) ** 0.5
FIRST, DAYS, BTC = date(2023, 12, 1), 70, "BTC-PERPETUAL"
LIQUIDATIONS = (
    ("T", "sell"),
    ("T", "buy"),
    ("M", "sell"),
    ("M", "buy"),
    ("MT", "buy"),
    (None, "buy"),
)


@pytest.fixture(scope="module", params=["file", pytest.param("lake", marks=pytest.mark.lake)])
def warehouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Warehouse:
    """A little of each table, made up: seventy days to 8 February 2024."""
    folder = tmp_path_factory.mktemp("q")
    location: Location = folder / "w.duckdb"
    if request.param == "lake":
        location = Lake(request.getfixturevalue("_postgres").database(), f"{folder}/lake/")
    made = warehouse_at(location, Environment.SANDBOX)
    chance = np.random.default_rng(1)
    for name, first, days, price in (
        ("BTC-PERPETUAL", FIRST, DAYS, 60_000), ("ETH-PERPETUAL", FIRST, 3, 3_000),
        ("BTC-26JAN24", date(2024, 1, 7), 2, 61_000), ("BTC-29MAR24", date(2024, 1, 7), 2, 65_000),
        ("BTC-5JAN24", date(2024, 1, 5), 1, 60_500),
    ):  # fmt: skip
        closes = price * np.exp(np.cumsum(A_MINUTE * chance.standard_normal(days * 1_440)))
        opens = np.roll(closes, 1)
        opens[0] = price
        highs, lows = np.maximum(opens, closes) * 1.0001, np.minimum(opens, closes) * 0.9999
        hold_minutes(made, name, first, np.column_stack([opens, highs, lows, closes]))

    for table, *rows in (
        (INSTRUMENTS, *(
            {"instrument_name": name, "kind": "future", "price_index": "btc_usd",
             "expires_at": expires, "taker_commission": 0.0005}
            for name, expires in (
                ("BTC-PERPETUAL", None), ("BTC-5JAN24", datetime(2024, 1, 5, 8, tzinfo=UTC)),
                ("BTC-26JAN24", datetime(2024, 1, 26, 8, tzinfo=UTC)),
                ("BTC-29MAR24", datetime(2024, 3, 29, 8, tzinfo=UTC)),
            )
        )),
        (candle_tables.CANDLE_DAYS,
         {"instrument_name": BTC, "resolution": "60", "day": NOON.date(), "state": "gapped"}),
        (candle_tables.CANDLE_GAPS,
         {"instrument_name": BTC, "resolution": "60", "opened_at": NOON}),
        (candle_tables.CANDLE_REVISIONS,
         {"instrument_name": BTC, "resolution": "1", "opened_at": NOON, "close": 61_000,
          "held_from": NOON + HOUR, "replaced_at": NOON + 48 * HOUR}),
        (candle_tables.CANDLE_ARRIVALS,
         {"instrument_name": BTC, "resolution": "1", "day": NOON.date(), "first_opened_at": NOON,
          "last_opened_at": NOON, "arrived_at": NOON + HOUR}),
        (FUNDING_RATES.table, *(
            {"instrument_name": BTC, "funded_at": NOON + n * HOUR, "interest_1h": 1e-5 * n}
            for n in range(-3, 4)
        )),
        (VOLATILITY_INDEX.table, *(
            {"currency": "BTC", "resolution": "3600", "opened_at": NOON - n * 24 * HOUR + 19 * HOUR,
             "close": 71 + n}
            for n in range(40)
        )),
        (TRADES.table, *(
            {"instrument_name": BTC, "trade_seq": n, "traded_at": NOON, "amount": 10 ** n,
             "liquidation": liquidation, "direction": direction}
            for n, (liquidation, direction) in enumerate(LIQUIDATIONS)
        )),
        (DELIVERY_PRICES.table,
         {"index_name": "btc_usd", "delivery_date": date(2024, 1, 5), "delivery_price": 64_000}),
        (HISTORICAL_VOLATILITY.table, {"currency": "BTC", "measured_at": NOON}),
        (SETTLEMENTS.table,
         {"currency": "BTC", "instrument_name": BTC, "settled_at": NOON, "type": "settlement",
          "position": 1e8}),
        (INDEX_PRICES.table, *(
            {"index_name": "btc_usd", "priced_at": NOON + n * timedelta(seconds=288),
             "price": 60_000}
            for n in range(26)
        )),
        (dataset_tables.DATASET_DAYS,
         {"dataset": "funding_rates", "series": BTC, "day": NOON.date(), "state": "complete"},
         {"dataset": "trades", "series": BTC, "day": NOON.date(), "state": "gapped"}),
        (dataset_tables.DATASET_GAPS,
         {"dataset": "trades", "series": BTC, "day": NOON.date(), "confirmed": 3}),
    ):  # fmt: skip
        hold(made, table, *rows)
    with made.writing() as connection:
        connection.execute(
            f"""
            insert into candles_rebuilt
            select instrument_name, opened_at, if(opened_at = $noon, open + 1, open), high, low,
                   close, volume_base, volume_quote, 1
            from candles
            where instrument_name = '{BTC}' and opened_at between $noon and $noon + interval 1 hour
            """,
            {"noon": NOON},
        )
        snapshots = [NOON, NOON + timedelta(minutes=5)]
        expiries = [expiry_after(NOON, days) for days in (7, 25, 60)]
        for at in snapshots:
            insert_rows(connection, options_of(Market(), at, expiries))
    return made


@pytest.mark.parametrize("question", [*QUESTIONS, *EXAMPLES])
def test_each_query_of_the_documents_answers(warehouse: Warehouse, question: str) -> None:
    with warehouse.reading() as connection:
        rows = connection.execute((QUESTIONS | EXAMPLES)[question]).fetchall()
    assert rows
    assert any(value is not None for value in rows[0])


@pytest.mark.parametrize("question", [*QUESTIONS, *EXAMPLES])
def test_each_query_of_the_documents_answers_the_same_in_any_time_zone(
    warehouse: Warehouse, question: str
) -> None:
    query, answers = (QUESTIONS | EXAMPLES)[question], []
    with warehouse.reading() as connection:
        # One sums in parallel, so that the last digits may differ from run to run.
        for zone in ("America/New_York", "Asia/Kathmandu", "UTC"):
            connection.execute(f"set TimeZone = '{zone}'")
            answers.append(connection.execute(query).fetchall())
    *elsewhere, here = (list(map(rounded, rows)) for rows in answers)
    assert elsewhere == [here, here]


def rounded(row: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in row)


def test_there_are_thirty_questions_and_each_is_one() -> None:
    assert len(QUESTIONS) == 30
    assert all(question.endswith("?") for question in QUESTIONS)
    assert (DOCS / "queries.md").read_text().count("\n### ") == 30


def answer(warehouse: Warehouse, start: str) -> list[tuple[object, ...]]:
    """The result of the query under the question that starts with this text."""
    [query] = [query for question, query in QUESTIONS.items() if question.startswith(start)]
    with warehouse.reading() as connection:
        return connection.execute(query).fetchall()


def test_a_liquidation_is_of_the_side_whose_order_it_was(warehouse: Warehouse) -> None:
    [(_, _, longs, shorts, trades)] = answer(warehouse, "How much was liquidated")
    assert (longs, shorts, trades) == (1 + 1_000 + 10_000, 10 + 100 + 10_000, 5)


def test_each_value_of_the_index_meets_the_minute_that_was_just_over(
    warehouse: Warehouse,
) -> None:
    found = answer(warehouse, "How far was the perpetual")
    # At 12:00:00, 12:04:48, …, 13:55:12 and 14:00:00.
    assert [row[3] for row in found] == [1, 12, 13]
    with warehouse.reading() as connection:
        [(close,)] = connection.execute(
            f"select close from candles where instrument_name = '{BTC}' "
            "and opened_at = '2024-01-05 13:59:00+00'"
        ).fetchall()
    assert found[0][1] == pytest.approx(10_000 * (close / 60_000 - 1))


def test_a_rebuilt_minute_that_opens_elsewhere_differs(warehouse: Warehouse) -> None:
    assert answer(warehouse, "Do the trades make") == [(BTC, NOON.date(), 61, 1)]


def test_a_hedge_costs_what_the_option_brought_where_volatility_is_as_implied(
    warehouse: Warehouse,
) -> None:
    [(premium, payoff, hedge, fees, funding, total)] = answer(warehouse, "What would it have cost")
    with warehouse.reading() as connection:
        [(price,)] = connection.execute(
            f"select close from candles where instrument_name = '{BTC}' "
            "and opened_at = '2024-01-02 07:59:00+00'"
        ).fetchall()
    # Brenner and Subrahmanyam's rule for options at the money.
    assert premium == pytest.approx(0.4 * price * 0.75 * (30 / 365) ** 0.5, rel=0.01)
    assert payoff <= 0 > fees
    assert premium + payoff + hedge == pytest.approx(0, abs=0.15 * premium)
    assert total == pytest.approx(premium + payoff + hedge + fees + funding)
