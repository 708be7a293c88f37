"""Chains, smiles, constant maturities, strips and open interest of invented snapshots, compared
with the surface that they were made of."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from math import exp
from typing import Any

import duckdb
import pytest

from deribit_pipeline_tests.helpers.exact_black import black
from deribit_pipeline_tests.helpers.option_chains import (
    RECEIVED_AFTER,
    Market,
    expiry_after,
    insert_rows,
    open_tables,
    options_of,
    years_between,
)

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
SLOT, A_DAY = timedelta(minutes=5), timedelta(days=1)
DAYS = (1, 7, 25, 60, 200)
BTC, SOL = Market(), Market("SOL_USDC", "USDC", 0.52)
DENSE = tuple(exp(0.01 * number) for number in range(-150, 151))


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """Two snapshots of BTC, one of USDC with two indices."""
    with open_tables() as connection:
        expiries = [expiry_after(NOON, days) for days in DAYS]
        for market, moment in ((BTC, NOON), (BTC, NOON + SLOT), (SOL, NOON)):
            insert_rows(connection, options_of(market, moment, expiries))
        insert_rows(connection, options_of(Market("BTC_USDC", "USDC"), NOON, expiries[:1]))
        yield connection


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_tables() as connection:
        yield connection


@pytest.fixture
def empty(tables: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Tables without rows: what a test inserts is rolled back."""
    tables.begin()
    yield tables
    tables.rollback()
    tables.execute("set TimeZone = 'UTC'")


def rows(
    connection: duckdb.DuckDBPyConnection, query: str, **values: object
) -> list[dict[str, Any]]:
    result = connection.execute(query, values)
    names = [each[0] for each in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def chain(
    connection: duckdb.DuckDBPyConnection, moment: datetime, currency: str = "BTC"
) -> list[dict[str, Any]]:
    return rows(connection, f"from option_chain('{currency}', $moment)", moment=moment)


LATER = NOON + SLOT + RECEIVED_AFTER


def test_a_chain_has_each_option_with_its_terms(database: duckdb.DuckDBPyConnection) -> None:
    found = chain(database, LATER)
    assert len(found) == len(DAYS) * len(BTC.strikes) * 2
    assert {row["snapshot_at"] for row in found} == {NOON + SLOT}
    for row in found:
        _, day, strike, letter = row["instrument_name"].split("-")
        assert row["expiry"] == datetime.strptime(f"{day} 08 +0000", "%d%b%y %H %z")
        assert (row["strike"], row["option_type"][0].upper()) == (float(strike), letter)
        assert row["forward"] == BTC.forward(years_between(NOON + SLOT, row["expiry"]))


@pytest.mark.parametrize(("currency", "market"), [("BTC", BTC), ("USDC", SOL)])
def test_the_greeks_of_a_chain_are_those_of_its_marks(
    database: duckdb.DuckDBPyConnection, currency: str, market: Market
) -> None:
    found = chain(database, LATER, currency)[::37]
    for row in (row for row in found if row["instrument_name"].startswith(market.prefix)):
        years = years_between(row["snapshot_at"], row["expiry"])
        terms = (row["option_type"], row["forward"], row["strike"], years)
        exact = black(*terms, row["mark_iv"] / 100)
        for name in ("delta", "gamma", "vega", "theta", "rho"):
            assert row[name] == pytest.approx(exact[name], rel=1e-10), (name, row)
        assert row["mark_usd"] == pytest.approx(exact["price"], abs=1e-10 * row["forward"])
        unit = row["forward"] if market.is_inverse else 1
        for side in ("bid", "ask", "mark"):
            assert row[f"{side}_usd"] == pytest.approx(row[side] * unit)


def test_quoted_volatilities_have_the_quoted_prices(database: duckdb.DuckDBPyConnection) -> None:
    found = chain(database, LATER)
    quoted = [row for row in found if row["bid_iv"] is not None and abs(row["delta"]) < 0.9]
    assert len(quoted) > len(found) / 3
    for row in quoted[::29]:
        years = years_between(row["snapshot_at"], row["expiry"])
        terms = (row["option_type"], row["forward"], row["strike"], years)
        for side in ("bid", "ask"):
            again = black(*terms, row[f"{side}_iv"] / 100)["price_in_coin"]
            assert again == pytest.approx(row[side], rel=1e-9)
        assert row["bid_iv"] < row["mark_iv"] < row["ask_iv"]


def test_without_a_quote_there_is_no_volatility(empty: duckdb.DuckDBPyConnection) -> None:
    made = options_of(BTC, NOON, [expiry_after(NOON, 7)])
    made[0] |= {"bid_price": None, "ask_price": 0.0, "mark_iv": None}
    insert_rows(empty, made)
    [row] = [row for row in chain(empty, LATER) if row["mark_iv"] is None]
    nothing = ("bid", "bid_usd", "bid_iv", "ask_iv", "delta", "gamma", "vega", "theta")
    assert {row[name] for name in nothing} == {None}
    assert row["mark"] == made[0]["mark_price"]


@pytest.mark.parametrize(
    ("moment", "snapshot_at"),
    [
        (LATER, NOON + SLOT),
        (LATER + 400 * A_DAY, NOON + SLOT),
        (LATER - timedelta(microseconds=1), NOON),
        (NOON + RECEIVED_AFTER, NOON),
        (NOON + timedelta(seconds=1), None),
        (NOON - SLOT, None),
    ],
)
def test_a_chain_never_looks_ahead(
    database: duckdb.DuckDBPyConnection, moment: datetime, snapshot_at: datetime | None
) -> None:
    """A snapshot is known once its response has arrived, which is after its instant."""
    found = {row["snapshot_at"] for row in chain(database, moment)}
    assert found == ({snapshot_at} if snapshot_at else set())


def test_a_chain_is_the_same_in_any_time_zone(empty: duckdb.DuckDBPyConnection) -> None:
    insert_rows(empty, options_of(BTC, NOON, [expiry_after(NOON, 7)]))
    here = chain(empty, LATER)
    empty.execute("set TimeZone = 'America/New_York'")
    assert chain(empty, LATER) == here


def test_an_option_whose_name_is_not_understood_spoils_no_other(
    empty: duckdb.DuckDBPyConnection,
) -> None:
    made = options_of(BTC, NOON, [expiry_after(NOON, 7)])
    made[0]["instrument_name"] = "BTC-SOMEDAY-HIGH-X"
    insert_rows(empty, made)
    found = chain(empty, LATER)
    assert len(found) == len(made)
    assert [row["instrument_name"] for row in found if row["delta"] is None] == [
        "BTC-SOMEDAY-HIGH-X"
    ]
    assert len(rows(empty, "from option_smile('BTC', $moment)", moment=LATER)) == 1


def test_strikes_with_a_fraction_are_read(database: duckdb.DuckDBPyConnection) -> None:
    found = [row for row in chain(database, LATER, "USDC") if row["index_name"] == "sol_usdc"]
    assert min(row["strike"] for row in found) == float(f"{0.52 * exp(-1):.5g}")


def test_a_smile_has_each_expiry_of_each_index(database: duckdb.DuckDBPyConnection) -> None:
    found = rows(database, "from option_smile('USDC', $moment)", moment=LATER)
    assert [(row["index_name"], row["expiry"]) for row in found] == [
        ("btc_usdc", expiry_after(NOON, 1)),
        *(("sol_usdc", expiry_after(NOON, days)) for days in DAYS),
    ]


def test_a_smile_is_that_of_the_surface(empty: duckdb.DuckDBPyConnection) -> None:
    market = Market(strikes=DENSE)
    expiry = expiry_after(NOON, 60)
    insert_rows(empty, options_of(market, NOON, [expiry]))
    years = years_between(NOON, expiry)
    forward = market.forward(years)

    def at_delta(option_type: str, delta: float) -> float:
        """The volatility of the option of that delta, by bisection over strikes."""
        low, high = forward / 4, forward * 4
        for _ in range(60):
            strike = (low * high) ** 0.5
            iv = market.iv(strike, years)
            if black(option_type, forward, strike, years, iv / 100)["delta"] > delta:
                low = strike
            else:
                high = strike
        return iv

    [row] = rows(empty, "from option_smile('BTC', $moment)", moment=LATER)
    assert row["days"] == pytest.approx(365 * years)
    assert row["forward"] == forward
    assert row["atm_iv"] == pytest.approx(market.iv(forward, years), abs=0.01)
    for delta in (25, 10):
        call, put = at_delta("call", delta / 100), at_delta("put", -delta / 100)
        assert row[f"risk_reversal_{delta}"] == pytest.approx(call - put, abs=0.02)
        butterfly = (call + put) / 2 - market.iv(forward, years)
        assert row[f"butterfly_{delta}"] == pytest.approx(butterfly, abs=0.02)


def test_a_smile_extrapolates_nothing(empty: duckdb.DuckDBPyConnection) -> None:
    """Strikes above the forward alone have neither a volatility at the forward nor puts of small
    delta."""
    market = Market(strikes=tuple(each for each in DENSE if each > 1.1))
    insert_rows(empty, options_of(market, NOON, [expiry_after(NOON, 60)]))
    [row] = rows(empty, "from option_smile('BTC', $moment)", moment=LATER)
    missing = {"atm_iv", "risk_reversal_25", "butterfly_25", "risk_reversal_10", "butterfly_10"}
    assert {name for name, value in row.items() if value is None} == missing
    assert rows(empty, "from atm_volatilities('BTC')") == []


def test_a_constant_maturity_interpolates_total_variance(
    empty: duckdb.DuckDBPyConnection,
) -> None:
    """Of a market at 60 % for 25 days and at 90 % for 60."""
    near, far = expiry_after(NOON, 25), expiry_after(NOON, 60)
    for volatility, expiry in ((0.6, near), (0.9, far)):
        market = Market(volatility=volatility, is_flat=True)
        insert_rows(empty, options_of(market, NOON, [expiry]))
    t, u, w = years_between(NOON, near), years_between(NOON, far), 40 / 365
    variance = 0.36 * t + (0.81 * u - 0.36 * t) * (w - t) / (u - t)
    [row] = rows(empty, "from atm_volatility('BTC', 40)")
    assert row["atm_iv"] == pytest.approx(100 * (variance / w) ** 0.5, rel=1e-12)
    assert (row["snapshot_at"], row["received_at"]) == (NOON, NOON + RECEIVED_AFTER)
    assert rows(empty, "from atm_volatility('BTC', 10)") == []
    assert rows(empty, "from atm_volatility('BTC', 90)") == []


def test_a_series_has_the_snapshots_of_its_span(database: duckdb.DuckDBPyConnection) -> None:
    for name in ("atm_volatility('BTC', 30, ", "volatility_strip('BTC', days := 30, "):
        found = rows(database, f"from {name} since := $noon)", noon=NOON)
        assert [row["snapshot_at"] for row in found] == [NOON, NOON + SLOT]
        found = rows(database, f"from {name} until := $later)", later=NOON + SLOT)
        assert [row["snapshot_at"] for row in found] == [NOON]


def test_a_strip_of_a_flat_market_has_its_volatility(empty: duckdb.DuckDBPyConnection) -> None:
    market = Market(strikes=DENSE, is_flat=True)
    expiries = [expiry_after(NOON, days) for days in (3, 25, 60)]
    insert_rows(empty, options_of(market, NOON, expiries))
    [row] = rows(empty, "from volatility_strip('BTC')")
    assert row["strip_iv"] == pytest.approx(60, abs=0.02)
    assert (row["dvol"], row["difference"]) == (None, None)


@pytest.mark.parametrize(
    ("opened_at", "resolution", "dvol"),
    [
        (NOON - timedelta(minutes=1), "60", 62.0),
        (NOON - timedelta(hours=1), "3600", 62.0),
        (NOON, "60", None),
        (NOON - timedelta(minutes=59), "3600", None),
        (NOON - timedelta(hours=3), "3600", None),
    ],
)
def test_a_strip_stands_beside_the_index_as_known_then(
    empty: duckdb.DuckDBPyConnection, opened_at: datetime, resolution: str, dvol: float | None
) -> None:
    expiries = [expiry_after(NOON, days) for days in (25, 60)]
    insert_rows(empty, options_of(BTC, NOON, expiries))
    empty.execute(
        "insert into volatility_index values ('BTC', $resolution, $opened_at, 61, 63, 60, 62), "
        "('ETH', '60', $noon - interval 2 minutes, 80, 80, 80, 80)",
        {"resolution": resolution, "opened_at": opened_at, "noon": NOON},
    )
    [row] = rows(empty, "from volatility_strip('BTC', since := $noon)", noon=NOON)
    assert row["dvol"] == dvol
    assert row["difference"] == (dvol and row["strip_iv"] - dvol)


def test_open_interest_is_of_settlements_and_of_snapshots(
    empty: duckdb.DuckDBPyConnection,
) -> None:
    insert_rows(empty, options_of(Market(strikes=(1,)), NOON, [expiry_after(NOON, 7)]))
    for kind, position in (("settlement", 7_000.0), ("delivery", 1.0), ("bankruptcy", None)):
        empty.execute(
            "insert into settlements (currency, settled_at, instrument_name, type, position) "
            "values ('BTC', $at, 'BTC-PERPETUAL', $kind, $position)",
            {"at": NOON - timedelta(hours=4), "kind": kind, "position": position},
        )
    found = rows(empty, "from open_interest order by observed_at, instrument_name")
    assert [(row["instrument_name"], row["open_interest"], row["source"]) for row in found] == [
        ("BTC-PERPETUAL", 7_000, "settlement"),
        ("BTC-8SEP26-60000-C", 10, "snapshot"),
        ("BTC-8SEP26-60000-P", 5, "snapshot"),
    ]


def test_open_interest_is_summed_by_strike_and_compared_by_type(
    database: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(database, "from open_interest_by_strike('BTC', $moment)", moment=LATER)
    assert len(found) == len(DAYS) * len(BTC.strikes)
    assert {(row["call_open_interest"], row["put_open_interest"]) for row in found} == {(10, 5)}
    found = rows(database, "from put_call_ratios('BTC', $moment)", moment=LATER)
    assert [row["expiry"] and row["expiry"].date() for row in found] == [
        *(date(2026, 9, 1) + days * A_DAY for days in DAYS),
        None,
    ]
    strikes = len(BTC.strikes)
    assert [row["call_open_interest"] for row in found] == [
        *(10 * strikes for _ in DAYS),
        10 * strikes * len(DAYS),
    ]
    assert {(row["open_interest_ratio"], row["volume_ratio"]) for row in found} == {(0.5, 1)}
