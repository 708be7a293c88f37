"""Stored funding and volatility index: the views on them, and the rules."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from deribit_pipeline.datasets.funding_rates import FUNDING_RATES
from deribit_pipeline.datasets.funding_rates.views import VIEWS
from deribit_pipeline.datasets.volatility_index import VOLATILITY_INDEX
from deribit_pipeline.domain.proof_tables import DATASET_DAYS
from deribit_pipeline.engine.breaches import breaches
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.pipeline import ms

NAME, LAST = "BTC-PERPETUAL", date(2024, 4, 8)
HOUR = timedelta(hours=1)


def hours_of(sandbox: SandboxExchange, name: str) -> list[dict[str, Any]]:
    """The hours of two days of funding, as returned by the exchange."""
    params = {"start_timestamp": str(ms(LAST, -1)), "end_timestamp": str(ms(LAST, 2 * 1_440 - 1))}
    method = "public/get_funding_rate_history"
    result: list[dict[str, Any]] = sandbox.answer(method, params | {"instrument_name": name}).body[
        "result"
    ]
    return result


def candles_of(sandbox: SandboxExchange, resolution: str) -> list[list[float]]:
    """The minutes of three hours, or the hours of a day, as returned by the exchange."""
    end = ms(LAST, 179 if resolution == "60" else 1_439)
    params = {"start_timestamp": str(ms(LAST, 0)), "end_timestamp": str(end)}
    result: dict[str, Any] = sandbox.answer(
        "public/get_volatility_index_data", params | {"currency": "BTC", "resolution": resolution}
    ).body["result"]
    return result["data"]


@pytest.fixture
def funding(sandbox: SandboxExchange) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables and views of funding, with two days of two perpetuals."""
    with duckdb.connect() as connection:
        for table in (FUNDING_RATES.table, DATASET_DAYS):
            connection.execute(table.ddl())
        for view in VIEWS:
            for statement in view.ddl():
                connection.execute(statement)
        for name in (NAME, "SOL_USDC-PERPETUAL"):
            for row in hours_of(sandbox, name):
                connection.execute(
                    """
                    insert into funding_rates values ($instrument_name, epoch_ms($timestamp)
                        at time zone 'UTC', $interest_1h, $interest_8h, $index_price,
                        $prev_index_price)
                    """,
                    {"instrument_name": name} | row,
                )
            for day, state in ((LAST, "complete"), (LAST + timedelta(days=1), "open")):
                connection.execute(
                    """
                    insert into dataset_days values ('funding_rates', $name, $day, $state, 24, 24,
                        0, '', 0, '', now(), 'sandbox', '', '', 'none', '')
                    """,
                    {"name": name, "day": day, "state": state},
                )
        yield connection


def test_rates_are_annualised_on_complete_days(funding: duckdb.DuckDBPyConnection) -> None:
    funding.execute("update funding_rates set interest_1h = 0.0001")
    rows = funding.execute(
        "select distinct annualised_simple, annualised_compounded from funding"
    ).fetchall()
    assert rows == [(pytest.approx(0.876), pytest.approx(1.0001**8760 - 1))]
    assert funding.execute("select count(*) from funding").fetchall() == [(2 * 24,)]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("amount", [10_000, -10_000])
def test_an_inverse_position_pays_in_its_base_currency(
    funding: duckdb.DuckDBPyConnection, amount: float, zone: str
) -> None:
    # 10,000 USD at 40,000 are 0.25 BTC, of which 0.01 % are 25 µBTC; at 50,000 they are 20.
    funding.execute(f"set timezone = '{zone}'")
    funding.execute("update funding_rates set interest_1h = 0.0001, prev_index_price = "
                 "if(funded_at <= '2024-04-08 02:00:00+00', 40_000, 50_000)")  # fmt: skip
    rows = funding.execute(
        "from cumulative_funding($name, '2024-04-08 00:00:00+00', '2024-04-08 04:00:00+00', "
        "$amount)",
        {"name": NAME, "amount": amount},
    ).fetchall()
    sign = 1 if amount > 0 else -1
    assert [paid for _, _, paid, _, _ in rows] == pytest.approx(
        [sign * 25e-6, sign * 25e-6, sign * 20e-6, sign * 20e-6]
    )
    assert rows[-1][3:] == (pytest.approx(sign * 90e-6), 0)
    assert rows[0][0].astimezone(UTC) == datetime(2024, 4, 8, 1, tzinfo=UTC)


def test_a_linear_position_pays_in_its_quote_currency(funding: duckdb.DuckDBPyConnection) -> None:
    # 20 SOL at 150 are 3,000 USDC, of which 0.01 % are 0.3.
    funding.execute("update funding_rates set interest_1h = 0.0001, prev_index_price = 150")
    rows = funding.execute(
        "select paid_so_far from cumulative_funding('SOL_USDC-PERPETUAL', "
        "'2024-04-08 00:00:00+00', '2024-04-08 02:00:00+00', 20)"
    ).fetchall()
    assert [paid for (paid,) in rows] == pytest.approx([0.3, 0.6])


def test_eight_hours_of_a_position_cost_what_the_exchange_says_of_eight(
    funding: duckdb.DuckDBPyConnection,
) -> None:
    [(paid, rate, before)] = funding.execute(
        """
        select max_by(paid_so_far, funded_at), max_by(interest_8h, funded_at),
               min_by(prev_index_price, funded_at)
        from cumulative_funding('BTC-PERPETUAL', '2024-04-08 08:00:00+00',
                                '2024-04-08 16:00:00+00', 1000)
        join funding_rates using (funded_at)
        where instrument_name = 'BTC-PERPETUAL'
        """
    ).fetchall()
    assert paid == pytest.approx(rate * 1000 / before, rel=1e-9)


def test_hours_that_are_not_held_are_counted(funding: duckdb.DuckDBPyConnection) -> None:
    funding.execute("delete from funding_rates where hour(timezone('UTC', funded_at)) in (2, 3)")
    rows = funding.execute(
        "select interest_1h is null, hours_lacking from cumulative_funding('BTC-PERPETUAL', "
        "'2024-04-08 00:00:00+00', '2024-04-08 05:00:00+00', 1)"
    ).fetchall()
    assert rows == [(False, 0), (True, 1), (True, 2), (False, 2), (False, 2)]


def test_hours_at_either_end_that_are_not_held_are_counted_too(
    funding: duckdb.DuckDBPyConnection,
) -> None:
    [(first, last)] = funding.execute(
        "select min(funded_at), max(funded_at) from funding_rates "
        "where instrument_name = 'BTC-PERPETUAL'"
    ).fetchall()
    rows = funding.execute(
        "from cumulative_funding($name, $since, $until, 1)",
        {"name": NAME, "since": first - 4 * HOUR, "until": last + 5 * HOUR},
    ).fetchall()
    assert (rows[0][0], rows[-1][0]) == (first - 3 * HOUR, last + 5 * HOUR)
    assert (rows[0][1:], rows[2][4], rows[-1][4]) == ((None, None, 0, 1), 3, 3 + 5)


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("select 1", []),
        (
            "insert into funding_rates from funding_rates "
            "where funded_at = '2024-04-08 00:00:00+00'",
            ["hours_are_unique_and_full", "eight_hour_funding_adds_up"],
        ),
        (
            "update funding_rates set funded_at = funded_at + interval 1 second "
            "where funded_at = '2024-04-08 05:00:00+00'",
            ["hours_are_unique_and_full"],
        ),
        (
            "update funding_rates set index_price = 1 where funded_at = '2024-04-08 05:00:00+00'",
            ["index_prices_continue_hour_by_hour"],
        ),
        (
            "update funding_rates set interest_8h = interest_8h + 1e-6 "
            "where funded_at = '2024-04-08 12:00:00+00'",
            ["eight_hour_funding_adds_up"],
        ),
        ("delete from funding_rates where hour(timezone('UTC', funded_at)) = 2", []),
    ],
)
def test_the_rules_of_funding_find_what_breaks_them(
    funding: duckdb.DuckDBPyConnection, statement: str, broken: list[str]
) -> None:
    funding.execute(statement)
    found = [rule.name for rule in FUNDING_RATES.rules if breaches(funding, rule, {}).count]
    assert found == broken


def test_the_recorded_history_breaks_no_rule(funding: duckdb.DuckDBPyConnection) -> None:
    funding.execute("delete from funding_rates")
    for row in recorded("funding_rate_history"):
        funding.execute(
            "insert into funding_rates values ($name, epoch_ms($timestamp) at time zone 'UTC', "
            "$interest_1h, $interest_8h, $index_price, $prev_index_price)",
            {"name": NAME} | row,
        )
    assert [breaches(funding, rule, {}).count for rule in FUNDING_RATES.rules] == [0, 0, 0]


@pytest.fixture
def index(sandbox: SandboxExchange) -> Iterator[duckdb.DuckDBPyConnection]:
    """A day of the index at both resolutions."""
    with duckdb.connect() as connection:
        connection.execute(VOLATILITY_INDEX.table.ddl())
        for resolution in ("60", "3600"):
            rows = [["BTC", resolution, *row] for row in candles_of(sandbox, resolution)]
            connection.executemany(
                "insert into volatility_index "
                "values (?, ?, epoch_ms(?) at time zone 'UTC', ?, ?, ?, ?)",
                rows,
            )
        yield connection


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("select 1", []),
        (
            "insert into volatility_index from volatility_index where resolution = '60' limit 1",
            ["candle_times_are_unique_and_regular"],
        ),
        (
            "update volatility_index set opened_at = opened_at + interval 1 minute "
            "where opened_at = '2024-04-08 05:00:00+00'",
            ["candle_times_are_unique_and_regular"],
        ),
        (
            "update volatility_index set low = high + 1 "
            "where resolution = '3600' and opened_at = '2024-04-08 05:00:00+00'",
            ["values_are_in_range"],
        ),
        (
            "update volatility_index set high = high + 1 "
            "where resolution = '3600' and opened_at = '2024-04-08 02:00:00+00'",
            ["agrees_with_one_minute_candles"],
        ),
        (
            "update volatility_index set high = high + 1 "
            "where resolution = '3600' and opened_at = '2024-04-08 03:00:00+00'",
            [],
        ),
    ],
)
def test_the_rules_of_the_index_find_what_breaks_them(
    index: duckdb.DuckDBPyConnection, statement: str, broken: list[str]
) -> None:
    index.execute(statement)
    found = [rule.name for rule in VOLATILITY_INDEX.rules if breaches(index, rule, {}).count]
    assert found == broken
