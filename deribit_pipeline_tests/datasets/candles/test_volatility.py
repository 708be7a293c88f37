"""Realised volatility, compared with theory, published figures, another library, and its
documentation."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wickra

from deribit_pipeline.datasets.candles.volatility_views import VIEWS
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.tables import View
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.helpers.inserted_rows import hold_minutes

FIRST, DAYS, TRUTH = date(2024, 1, 1), 40, 0.65
ESTIMATORS = ("close_to_close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang")
MINUTES_A_YEAR = 365 * 24 * 60
Rows = list[tuple[Any, ...]]
DOCUMENT = Path(__file__).parents[3] / "docs/volatility.md"


def motion(drift: float = 0.0, jumps: float = 0.0, days: int = DAYS) -> np.ndarray:
    """Minutes of a geometric Brownian motion of volatility TRUTH: open, high, low and close.

    Highs and lows are drawn from the law of the extremes of a Brownian bridge, so they are those
    of the motion itself and not of some points on it. `drift` is the drift of the logarithm per
    year; between two minutes the price jumps, by `jumps` as shares of a minute's move.
    """
    chance = np.random.default_rng(7)
    scale, count = TRUTH / np.sqrt(MINUTES_A_YEAR), days * 1_440
    body = drift / MINUTES_A_YEAR + scale * chance.standard_normal(count)
    jump = jumps * scale * chance.standard_normal(count)
    up, down = (
        (body + side * np.sqrt(body**2 - 2 * scale**2 * np.log(chance.uniform(size=count)))) / 2
        for side in (1, -1)
    )
    before = np.cumsum(body + jump) - body
    return 50_000.0 * np.exp(np.column_stack([before, before + up, before + down, before + body]))


@pytest.fixture(scope="module")
def markets(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Three markets whose minutes move alike: one without a trend, one that rises by an hour's
    volatility every hour, one whose candles do not open where the last one closed."""
    warehouse = Warehouse(tmp_path_factory.mktemp("v") / "w.duckdb", Environment.SANDBOX)
    rising = TRUTH * np.sqrt(365 * 24)
    for name, made in (
        ("CALM", motion()), ("RISING", motion(rising)), ("JUMPING", motion(jumps=0.5))
    ):  # fmt: skip
        hold_minutes(warehouse, name, FIRST, made)
    return warehouse


@pytest.fixture
def file(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "w.duckdb", Environment.SANDBOX)


def rows(warehouse: Warehouse, query: str, zone: str = "UTC") -> Rows:
    with warehouse.reading() as connection:
        connection.execute(f"set TimeZone = '{zone}'")
        return connection.execute(query).fetchall()


def change(warehouse: Warehouse, statement: str) -> None:
    with warehouse.writing() as connection:
        connection.execute(statement)


def by_estimator(warehouse: Warehouse, name: str, sampling: int, samples: int) -> dict[str, Any]:
    """Of each estimator, the volatility over every window."""
    columns = ", ".join(ESTIMATORS)
    query = f"select {columns} from realised_volatility('{name}', {sampling}, {samples})"
    return dict(zip(ESTIMATORS, np.array(rows(warehouse, query), float).T, strict=True))


@pytest.mark.parametrize("sampling", [15, 60, 240])
def test_each_estimator_comes_near_the_volatility_that_was_put_in(
    markets: Warehouse, sampling: int
) -> None:
    samples = DAYS * 1_440 // sampling - 1
    found = by_estimator(markets, "CALM", sampling, samples)
    # Four times the scatter that an estimate from so many returns has.
    scatter = 1 / np.sqrt(2 * samples)
    for name, volatilities in found.items():
        assert volatilities == pytest.approx([TRUTH], rel=4 * scatter), name


def test_a_trend_misleads_those_that_assume_none_and_no_others(markets: Warehouse) -> None:
    found = by_estimator(markets, "RISING", 60, DAYS * 24 - 1)
    for name in ("rogers_satchell", "yang_zhang"):
        assert found[name] == pytest.approx([TRUTH], rel=0.05), name
    assert found["close_to_close"] == pytest.approx([TRUTH * np.sqrt(2)], rel=0.05)
    for name in ("parkinson", "garman_klass"):
        assert found[name] > 1.05 * TRUTH, name


@pytest.mark.parametrize(
    ("name", "published"), [("parkinson", 5.2), ("garman_klass", 7.4), ("rogers_satchell", 6.0)]
)
def test_an_estimator_is_as_efficient_as_its_authors_say(
    markets: Warehouse, name: str, published: float
) -> None:
    variances = {key: found**2 for key, found in by_estimator(markets, "CALM", 15, 1).items()}
    efficiency = np.var(variances["close_to_close"]) / np.var(variances[name])
    assert efficiency == pytest.approx(published, rel=0.12)


@pytest.mark.parametrize("market", ["RISING", "JUMPING"])
@pytest.mark.parametrize(("sampling", "samples"), [(60, 24), (15, 12), (1_440, 30), (60, 2)])
def test_another_library_agrees_of_every_window(
    markets: Warehouse, market: str, sampling: int, samples: int
) -> None:
    candles = rows(markets, f"select open, high, low, close "
                            f"from sampled_candles('{market}', {sampling})")  # fmt: skip
    opens, highs, lows, closes = np.array(candles).T
    a_year = MINUTES_A_YEAR // sampling
    of = (samples, a_year)
    theirs = {
        "close_to_close": 100 * np.sqrt(a_year / samples)
        * np.asarray(wickra.RealizedVolatility(samples).batch(closes)),
        "parkinson": wickra.ParkinsonVolatility(*of).batch(highs, lows),
        "garman_klass": wickra.GarmanKlassVolatility(*of).batch(opens, highs, lows, closes),
        "rogers_satchell": wickra.RogersSatchellVolatility(*of).batch(opens, highs, lows, closes),
        "yang_zhang": wickra.YangZhangVolatility(*of).batch(opens, highs, lows, closes),
    }  # fmt: skip
    for name, ours in by_estimator(markets, market, sampling, samples).items():
        assert len(ours) == len(candles) - samples
        # Theirs are rolling sums, which carry their rounding along.
        assert ours == pytest.approx(np.asarray(theirs[name])[samples:] / 100, rel=1e-9), name


def test_a_sampled_candle_is_made_of_its_minutes(markets: Warehouse) -> None:
    # 2024 begins 28,401,120 minutes after 1970, which is 1 less than whole sevens: the first
    # minute belongs to a candle that began the year before.
    whole = motion(jumps=0.5)[1:]
    minutes = whole[: len(whole) // 7 * 7].reshape(-1, 7, 4)
    opened_at = datetime(2024, 1, 1, 0, 1, tzinfo=UTC)
    found = rows(markets, "from sampled_candles('JUMPING', 7)")
    assert [row[0] for row in found] == [
        opened_at + timedelta(minutes=7 * n) for n in range(len(minutes))
    ]
    expected = np.column_stack([
        minutes[:, 0, 0], minutes[:, :, 1].max(1), minutes[:, :, 2].min(1), minutes[:, -1, 3],
        np.full(len(minutes), 7.0), np.full(len(minutes), 7e5), np.zeros(len(minutes)),
    ])  # fmt: skip
    assert np.array([row[1:] for row in found]) == pytest.approx(expected)


def test_neither_the_time_zone_of_a_session_nor_the_type_of_a_number_matters(
    markets: Warehouse,
) -> None:
    returned = rows(markets, "from realised_volatility('CALM', 60, 24)")
    assert returned[0][:2] == (datetime(2024, 1, 2, 1, tzinfo=UTC), 24)
    assert rows(markets, "from realised_volatility('CALM', '60', '24')", "Asia/Kolkata") == returned


def ends(warehouse: Warehouse, sampling: int = 60, samples: int = 24) -> set[datetime]:
    query = f"select ended_at from realised_volatility('X', {sampling}, {samples})"
    return {row[0] for row in rows(warehouse, query)}


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=hour, minutes=minute)


def hours(first: datetime, last: datetime) -> set[datetime]:
    return {first + timedelta(hours=n) for n in range((last - first) // timedelta(hours=1) + 1)}


@pytest.mark.parametrize(
    "statement",
    [
        "update candle_days set state = 'gapped' where day = '2024-01-03'",
        "update candle_days set state = 'open' where day = '2024-01-03'",
        "delete from candle_days where day = '2024-01-03'",
        "delete from candles where opened_at >= '2024-01-03' and opened_at < '2024-01-04'",
    ],
)
def test_no_window_spans_a_day_that_is_not_complete(file: Warehouse, statement: str) -> None:
    hold_minutes(file, "X", FIRST, motion(days=5))
    assert ends(file) == hours(at(1, 1), at(5))
    change(file, statement)
    assert ends(file) == hours(at(1, 1), at(2)) | hours(at(4, 1), at(5))


@pytest.mark.parametrize(
    "statement",
    [
        "delete from candles where {one}",
        "update candles set high = low / 2 where {one}",
        "update candles set low = 0 where {one}",
        "update candles set open = -open, low = -low where {one}",
    ],
)
def test_no_window_spans_a_candle_that_misses_a_minute_or_makes_no_sense(
    file: Warehouse, statement: str
) -> None:
    hold_minutes(file, "X", FIRST, motion(days=5))
    change(file, statement.format(one="opened_at = '2024-01-03 12:00:00+00'"))
    found = ends(file, sampling=1, samples=3)  # in a longer candle, others would outdo its prices
    whole = {at(0, 0, n) for n in range(4, 5 * 1_440 + 1)}
    assert whole - found == {at(2, 12, n) for n in range(1, 5)}


def test_a_minute_without_a_trade_counts_as_a_return_of_nothing(file: Warehouse) -> None:
    made = motion(days=3)
    moving, still = made[: 2 * 1_440], np.full((1_440, 4), made[2 * 1_440 - 1, 3])
    hold_minutes(file, "X", FIRST, np.vstack([moving, still]))
    change(file, "update candles set volume_base = 0, volume_quote = 0 "
                 "where opened_at >= '2024-01-03 00:00:00+00'")  # fmt: skip
    query = "select minutes_without_trades, count(*) from sampled_candles('X', 60) group by all"
    assert sorted(rows(file, query)) == [(0, 48), (60, 24)]
    last = rows(file, "from realised_volatility('X', 60, 24)")[-1]
    assert last == (at(3), 24, 0.0, 0.0, 0.0, 0.0, 0.0)
    # Half of the minutes stand still, so half of the variance is gone.
    day, both = (by_estimator(file, "X", 5, samples)["close_to_close"] for samples in (287, 575))
    assert both[-1] ** 2 == pytest.approx(day[287] ** 2 / 2, rel=0.02)


def test_one_candle_has_no_yang_zhang(markets: Warehouse) -> None:
    found = rows(markets, "select close_to_close, yang_zhang "
                          "from realised_volatility('CALM', 60, 1)")  # fmt: skip
    assert {row[1] for row in found} == {None}
    assert None not in {row[0] for row in found}


def test_the_cone_is_how_each_estimator_was_spread(markets: Warehouse) -> None:
    found = rows(markets, "from volatility_cone('CALM', 60, [24, 168])")
    assert [row[:3] for row in found] == [
        (samples, name, DAYS * 24 - samples) for samples in (24, 168) for name in sorted(ESTIMATORS)
    ]
    for samples, name, _, *spread, ended_at in found:
        volatilities = by_estimator(markets, "CALM", 60, samples)[name]
        expected = [*np.quantile(volatilities, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]), volatilities[-1]]
        assert spread == pytest.approx(expected)
        assert ended_at == at(DAYS)


def test_dvol_stands_beside_what_was_realised_before_and_after(file: Warehouse) -> None:
    hold_minutes(file, "X", FIRST, motion(days=9))
    # Every hour of DVOL but one, and the minutes of the last two hours.
    change(file, "insert into volatility_index "
                 "select 'BTC', '3600', timestamptz '2024-01-01 00:00:00+00' + to_hours(n), "
                 "n, n, n, n from range(9 * 24) hour(n) where n <> 100")  # fmt: skip
    change(file, "insert into volatility_index "
                 "select 'BTC', '60', timestamptz '2024-01-09 22:00:00+00' + to_minutes(n), "
                 "7, 7, 7, 7 from range(120) minute(n)")  # fmt: skip
    realised = {row[0]: row[2] for row in rows(file, "from realised_volatility('X', 60, 48)")}
    found = rows(file, "from realised_against_dvol('X', 'BTC', 2)")
    # A window ends with the 48th hour after the first close that is known.
    both = {n for n in range(1, 9 * 24 + 1) if n != 101 and (n >= 49 or n <= 7 * 24)}
    assert [row[0] for row in found] == [at(0, n) for n in sorted(both)]
    for measured_at, implied, before, after, premium in found:
        hour = (measured_at - at(0)) // timedelta(hours=1)
        assert implied == pytest.approx(0.07 if hour > 214 else (hour - 1) / 100)
        assert before == realised.get(measured_at)
        assert after == realised.get(measured_at + timedelta(days=2))
        assert premium == (None if after is None else implied - after)
    assert not rows(file, "from realised_against_dvol('X', 'ETH', 2)")
    finer = rows(
        file, "select measured_at from realised_against_dvol('X', 'BTC', 2, sampling := 5)"
    )
    fives = {at(0, 214, minute) for minute in range(5, 125, 5)}
    assert {row[0] for row in finer} == {row[0] for row in found} | fives


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_document_shows_how_each_macro_is_called(view: View) -> None:
    needed = [parameter for parameter in view.parameters if ":=" not in parameter]
    assert f"| `{view.name}({', '.join(needed)})` |" in DOCUMENT.read_text()
