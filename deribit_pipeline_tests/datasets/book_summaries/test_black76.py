"""Prices, greeks and implied volatility, compared with arithmetic of many digits, with QuantLib and
with what the exchange published."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from math import exp, inf, nan
from typing import Any

import duckdb
import pandas as pd
import pytest
import QuantLib as ql  # noqa: N813 - as everybody names it

from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.exact_black import black, cdf
from deribit_pipeline_tests.helpers.option_chains import open_tables, years_between

GREEKS = ("price", "price_in_coin", "delta", "gamma", "vega", "theta", "rho")
HOUR = 1 / (365 * 24)
TERMS = ("option_type", "forward", "strike", "years", "volatility")
Option = tuple[str, float, float, float, float]

# Of volatilities from 10 % to 200 % and of an hour to two years; strikes are up to six deviations
# away from the forward.
GRID: list[Option] = [
    (option_type, forward, forward * exp(away * volatility * years**0.5), years, volatility)
    for option_type, forward, away, years, volatility in product(
        ("call", "put"), (60_000.0, 0.52), (-6, -3.3, -1, -0.1, 0, 1e-9, 0.5, 2.2, 6),
        (HOUR, 24 * HOUR, 0.3, 2.0), (0.1, 0.65, 2.0),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_tables() as connection:
        yield connection


def one(database: duckdb.DuckDBPyConnection, expression: str, *values: object) -> Any:
    [(value,)] = database.execute(f"select {expression}", list(values)).fetchall()
    return value


def valued(
    database: duckdb.DuckDBPyConnection, options: list[Option], expression: str
) -> list[Any]:
    """The expression for each option, whose terms are columns."""
    made = pd.DataFrame(options, columns=list(TERMS)).assign(number=range(len(options)))
    database.register("options", made)
    found = database.execute(f"select {expression} from options order by number").fetchall()
    return [value for (value,) in found]


@pytest.mark.parametrize("x", [-37, -20, -8.3, -4, -1, -0.66, -1e-3, 0, 0.1, 0.67, 2, 5.9, 40])
def test_the_normal_distribution_is_exact_to_the_last_digits(
    database: duckdb.DuckDBPyConnection, x: float
) -> None:
    assert one(database, "normal_cdf(?)", x) == pytest.approx(float(cdf(Decimal(x))), rel=5e-15)


def test_the_normal_distribution_has_limits_and_nulls(
    database: duckdb.DuckDBPyConnection,
) -> None:
    limits = [(-inf, 0.0), (inf, 1.0), (-40, 0.0), (None, None)]
    assert [(x, one(database, "normal_cdf(?)", x)) for x, _ in limits] == limits
    assert one(database, "normal_density(?)", inf) == 0
    assert one(database, "mills_ratio(-1)") is None


def test_prices_and_greeks_are_exact_to_twelve_digits(
    database: duckdb.DuckDBPyConnection,
) -> None:
    found = valued(database, GRID, f"black76({', '.join(TERMS)})")
    for option, greeks in zip(GRID, found, strict=True):
        assert greeks == pytest.approx(black(*option), rel=2e-12, abs=0), option


def test_prices_and_greeks_are_those_of_quantlib(database: duckdb.DuckDBPyConnection) -> None:
    """Its prices and deltas are differences: their last digits are lost out of the money."""
    found = valued(database, GRID, f"black76({', '.join(TERMS)})")
    for (option_type, forward, strike, years, volatility), ours in zip(GRID, found, strict=True):
        payoff = ql.PlainVanillaPayoff(
            ql.Option.Call if option_type == "call" else ql.Option.Put, strike
        )
        theirs = ql.BlackCalculator(payoff, forward, volatility * years**0.5, 1.0)
        assert ours["price"] == pytest.approx(theirs.value(), rel=1e-12, abs=1e-15 * forward)
        assert ours["delta"] == pytest.approx(theirs.deltaForward(), rel=1e-12, abs=1e-15)
        assert ours["gamma"] == pytest.approx(theirs.gammaForward(), rel=1e-11)
        assert ours["vega"] == pytest.approx(theirs.vega(years) / 100, rel=1e-11)
        assert ours["theta"] == pytest.approx(theirs.theta(forward, years) / 365, rel=1e-11)
        assert ours["rho"] == pytest.approx(
            theirs.rho(years) / 100, rel=1e-11, abs=1e-15 * max(forward, strike)
        )


@pytest.mark.parametrize(
    ("option", "price", "delta"),
    [
        (("call", 120.0, 100.0, 0.0, 0.5), 20, 1),
        (("put", 120.0, 100.0, 0.0, 0.5), 0, 0),
        (("put", 80.0, 100.0, 1.0, 0.0), 20, -1),
        (("call", 100.0, 100.0, 0.0, 0.5), 0, 0.5),
    ],
)
def test_without_time_or_volatility_an_option_has_its_intrinsic_value(
    database: duckdb.DuckDBPyConnection, option: Option, price: float, delta: float
) -> None:
    greeks = one(database, "black76(?, ?, ?, ?, ?)", *option)
    assert (greeks["price"], greeks["delta"]) == (price, pytest.approx(delta))
    assert [greeks[name] for name in ("gamma", "vega", "theta")] == [0, 0, 0]


@pytest.mark.parametrize(
    "option",
    [
        ("call", 0.0, 100.0, 1.0, 0.5), ("call", 100.0, -1.0, 1.0, 0.5),
        ("call", 100.0, 100.0, -1.0, 0.5), ("call", 100.0, 100.0, 1.0, -0.5),
        ("future", 100.0, 100.0, 1.0, 0.5), (None, 100.0, 100.0, 1.0, 0.5),
        ("call", None, 100.0, 1.0, 0.5), ("call", 100.0, 100.0, 1.0, None),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_has_no_price(
    database: duckdb.DuckDBPyConnection, option: Option
) -> None:
    assert one(database, "black76(?, ?, ?, ?, ?)", *option) is None


def test_an_option_type_may_be_a_letter(database: duckdb.DuckDBPyConnection) -> None:
    for letter, name in (("C", "call"), ("P", "put")):
        terms = "100, 110, 0.5, 0.6"
        assert one(database, f"black76('{letter}', {terms}) = black76('{name}', {terms})")


def test_the_implied_volatility_of_a_price_is_that_of_the_price(
    database: duckdb.DuckDBPyConnection,
) -> None:
    """Out of the money, where a price has as many digits as a volatility."""
    options = [
        (option_type, forward, forward * exp(sign * away * volatility * years**0.5), years,
         volatility)
        for (option_type, sign), forward, away, years, volatility in product(
            (("call", 1), ("put", -1)), (60_000.0, 0.52), (0, 1e-12, 1e-6, 0.1, 1, 3, 8, 20, 35),
            (HOUR, 24 * HOUR, 0.3, 2.0), (0.05, 0.65, 3.0),
        )
    ]  # fmt: skip
    found = valued(
        database, options,
        "implied_volatility(option_type, forward, strike, years, "
        "black76(option_type, forward, strike, years, volatility).price)",
    )  # fmt: skip
    for option, volatility in zip(options, found, strict=True):
        assert volatility == pytest.approx(option[4], rel=2e-12), option


def test_the_implied_volatility_of_an_option_in_the_money_has_the_price(
    database: duckdb.DuckDBPyConnection,
) -> None:
    price = f"black76({', '.join(TERMS)}).price"
    volatility = f"implied_volatility(option_type, forward, strike, years, {price})"
    again = f"black76(option_type, forward, strike, years, {volatility}).price"
    found = valued(database, GRID, f"[{again}, {price}]")
    for option, (same, value) in zip(GRID, found, strict=True):
        close = pytest.approx(value, rel=1e-13, abs=1e-15 * max(option[1:3]))
        assert same is None or same == close, option
    assert sum(same is not None for same, _ in found) > 0.9 * len(GRID)


@pytest.mark.parametrize(
    ("option_type", "price", "expected"),
    [
        ("call", 20.0, 0), ("call", 19.9, None), ("call", 120.0, None), ("call", 130.0, None),
        ("put", 0.0, 0), ("put", -0.1, None), ("put", 100.0, None), ("call", None, None),
    ],
)  # fmt: skip
def test_a_price_at_or_outside_of_the_bounds_has_no_volatility(
    database: duckdb.DuckDBPyConnection,
    option_type: str,
    price: float | None,
    expected: float | None,
) -> None:
    found = one(database, "implied_volatility(?, 120, 100, 0.5, ?)", option_type, price)
    assert found == expected


def test_no_volatility_is_implied_once_an_option_has_expired(
    database: duckdb.DuckDBPyConnection,
) -> None:
    assert one(database, "implied_volatility('call', 120, 100, 0, 25)") is None


def tickers() -> list[dict[str, Any]]:
    return [*recorded("option_tickers").values(), *recorded("option_tickers_2021")]


@pytest.fixture(scope="module")
def published(database: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The recorded tickers, with what the macros make of them."""
    rows = []
    for each in tickers():
        prefix, day, strike, kind = each["instrument_name"].split("-")
        moment = datetime.fromtimestamp(each["timestamp"] / 1_000, UTC)
        expiry = datetime.strptime(f"{day} 08 +0000", "%d%b%y %H %z")
        rows.append({
            "name": each["instrument_name"], "option_type": kind,
            "forward": each["underlying_price"], "strike": float(strike.replace("d", ".")),
            "years": years_between(moment, expiry), "volatility": each["mark_iv"] / 100,
            "to_usd": 1 if "_" in prefix else each["underlying_price"],
            "mark_price": each["mark_price"], "bid": each["best_bid_price"] or nan,
            "ask": each["best_ask_price"] or nan, "bid_iv": each["bid_iv"],
            "ask_iv": each["ask_iv"], **each["greeks"],
        })  # fmt: skip
    database.register("tickers", pd.DataFrame(rows))
    found = database.execute(
        """
        select *, g.price / to_usd as price, g.delta as our_delta, g.gamma as our_gamma,
               g.vega as our_vega, g.theta as our_theta, g.rho as our_rho,
               100 * implied_volatility(option_type, forward, strike, years,
                                        if(isnan(bid), null, bid * to_usd)) as our_bid_iv,
               100 * implied_volatility(option_type, forward, strike, years,
                                        if(isnan(ask), null, ask * to_usd)) as our_ask_iv
        from (select *, black76(option_type, forward, strike, years, volatility) as g from tickers)
        """
    ).fetchnumpy()
    return pd.DataFrame({name: found[name] for name in found if name != "g"})


def test_greeks_are_those_that_the_exchange_published(published: pd.DataFrame) -> None:
    """They have five decimals, prices of 2026 four, forwards of XRP four."""
    assert len(published) == 101
    for row in published.to_dict("records"):
        assert row["our_delta"] == pytest.approx(row["delta"], abs=4e-5), row
        for name in ("gamma", "vega", "rho"):
            assert row[f"our_{name}"] == pytest.approx(row[name], rel=1.5e-3, abs=6e-6), (name, row)
        decimals = 2e-4 if row["to_usd"] == 1 else 2e-6
        assert row["price"] == pytest.approx(row["mark_price"], rel=3e-4, abs=decimals), row


def test_quoted_volatilities_are_those_that_the_exchange_published(
    published: pd.DataFrame,
) -> None:
    """They have two decimals, and 0 where there is none; on the last day, in which the published
    time is not exact enough, they differ by up to a tenth of a point."""
    for side in ("bid_iv", "ask_iv"):
        theirs, ours = published[side], published[f"our_{side}"]
        assert (ours.isna() == (theirs == 0)).all()
        is_last = published["years"] < 2 / 365
        assert (theirs - ours)[~is_last].abs().max() < 0.0061
        assert (theirs - ours)[is_last].abs().max() < 0.11


def test_theta_is_the_one_published_except_on_the_last_day(published: pd.DataFrame) -> None:
    is_longer = published["years"] > 1 / 365
    assert is_longer.sum() > 50
    longer = published[is_longer]
    assert longer["our_theta"].tolist() == pytest.approx(longer["theta"].tolist(), rel=1e-3)
