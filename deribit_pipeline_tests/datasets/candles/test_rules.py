"""The rules of the warehouse: each finds its violations, and nothing in sound data."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.datasets.rules import rules_of
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.engine.breaches import Breaches, breaches
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import HELD_NAMES as NAMES
from deribit_pipeline_tests.conftest import HELD_RESOLUTIONS as SOME
from deribit_pipeline_tests.conftest import HELD_UNTIL as NOW

RULES = rules_of(CANDLES[Resolution.HOUR_1])
TODAY = NOW.date()
EACH_KIND = ("1", "180", "1D")


def found(
    warehouse: Warehouse,
    name: str,
    resolution: str = "1",
    instruments: tuple[str, ...] = NAMES,
    today: date = TODAY,
) -> Breaches:
    dataset = CANDLES[Resolution(resolution)]
    rule = next(rule for rule in rules_of(dataset) if rule.name == name)
    parameters = rule.parameters(dataset.rule_values(instruments, today))
    with warehouse.reading() as connection:
        return breaches(connection, rule, parameters)


def test_a_sound_warehouse_breaks_no_rule(sound: Warehouse) -> None:
    for resolution in SOME:
        for rule in rules_of(CANDLES[Resolution(resolution)]):
            broken = found(sound, rule.name, resolution)
            assert (broken.count, broken.first) == (0, []), (rule.name, resolution)


def test_the_sound_warehouse_has_what_the_rules_look_at(sound: Warehouse) -> None:
    with sound.reading() as connection:
        query = "select count(*) from candles where resolution = '1' and volume_base = 0"
        assert connection.execute(query).fetchall()[0][0] > 100
        query = "select count(*) from candles where resolution = '1D'"
        assert connection.execute(query).fetchall() == [(6,)]


@pytest.mark.parametrize("resolution", EACH_KIND)
def test_an_open_day_of_the_past_is_found(
    sound: Warehouse, plant: Callable[[str], None], resolution: str
) -> None:
    plant(
        "update candle_days set state = 'open' "
        "where day = '2024-04-08' and instrument_name like 'SOL%'"
    )
    broken = found(sound, "no_past_day_is_open", resolution)
    assert broken.columns[:3] == ("instrument_name", "day", "state")
    assert [row[:3] for row in broken.first] == [("SOL_USDC-PERPETUAL", "2024-04-08", "open")]


@pytest.mark.parametrize(
    ("resolution", "heard_at", "is_over"),
    [
        ("1", "2024-04-11 00:00:00", True),
        ("1", "2024-04-10 23:59:59", False),
        ("60", "2024-04-11 00:00:00", True),
        ("1D", "2024-04-11 08:00:00", True),
        ("1D", "2024-04-11 07:59:59", False),
        ("180", "2024-04-11 02:59:59", False),  # whose grid is unknown
        ("180", "2024-04-11 03:00:00", True),
    ],
)
def test_a_day_is_over_when_its_last_candle_closes(
    sound: Warehouse, plant: Callable[[str], None], resolution: str, heard_at: str, is_over: bool
) -> None:
    plant(f"update candle_days set fetched_at = '{heard_at}+00' where day < '2024-04-09'")
    days = {row[1] for row in found(sound, "no_past_day_is_open", resolution).first}
    assert days == ({"2024-04-10"} if is_over else set())


def test_gaps_are_found_with_their_opening_times(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    plant("update candle_days set state = 'gapped', missing = 30 where day = '2024-04-08'"
       " and resolution = '1' and instrument_name = 'BTC-PERPETUAL'")  # fmt: skip
    plant("insert into candle_gaps select 'BTC-PERPETUAL', '1', opened_at, 2,"
       " timestamptz '2024-04-09 00:00:00+00' from (select unnest(generate_series("
       "timestamptz '2024-04-08 03:00:00+00', timestamptz '2024-04-08 03:29:00+00',"
       " interval 1 minute)) as opened_at)")  # fmt: skip
    broken = found(sound, "has_no_gaps")
    [row] = [dict(zip(broken.columns, values, strict=True)) for values in broken.first]
    assert (row["instrument_name"], row["day"], row["missing"]) == (
        "BTC-PERPETUAL", "2024-04-08", "30"
    )  # fmt: skip
    assert row["opening_times"].startswith("03:00 03:01 ")
    assert row["opening_times"].endswith("03:23 …")


@pytest.mark.parametrize("resolution", EACH_KIND)
def test_a_repeated_candle_is_found(
    sound: Warehouse, plant: Callable[[str], None], resolution: str
) -> None:
    one = f"resolution = '{resolution}' and instrument_name = 'BTC-PERPETUAL'"
    plant(f"insert into candles select * from candles where {one} order by opened_at limit 1")
    broken = found(sound, "candle_times_are_unique_and_regular", resolution)
    assert [row[2:] for row in broken.first] == [("2", "false")]


@pytest.mark.parametrize(
    ("resolution", "by"),
    [("1", "30 seconds"), ("60", "1 minute"), ("180", "1 minute"), ("720", "2 hours"),
     ("1D", "2 hours")],
)  # fmt: skip
def test_a_candle_off_the_grid_is_found(
    sound: Warehouse, plant: Callable[[str], None], resolution: str, by: str
) -> None:
    plant(f"""
        update candles set opened_at = opened_at + interval {by}
        where resolution = '{resolution}' and instrument_name = 'BTC-PERPETUAL'
          and opened_at = (
              select max(opened_at) from candles where resolution = '{resolution}'
                and opened_at < '2024-04-10'
          )
    """)
    broken = found(sound, "candle_times_are_unique_and_regular", resolution)
    assert [row[2:] for row in broken.first] == [("1", "true")]


LATER = "update candles set opened_at = opened_at + interval 2 hours"


def test_a_grid_that_nobody_has_shown_is_the_one_of_the_other_candles(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    for resolution in ("180", "720"):
        plant(f"{LATER} where resolution = '{resolution}'")
        assert found(sound, "candle_times_are_unique_and_regular", resolution).count == 0
    plant(f"{LATER} where resolution = '1D'")
    assert found(sound, "candle_times_are_unique_and_regular", "1D").count > 0


ONE = (
    "resolution = '1' and instrument_name = 'BTC-PERPETUAL' "
    "and opened_at = '2024-04-08 00:00:00+00'"
)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("prices_are_in_range", "high = close - 1"),
        ("prices_are_in_range", "low = open + 1"),
        ("prices_are_in_range", "high = 'nan', close = 'nan', low = 'nan', open = 1"),
        ("volumes_match_prices", "volume_base = volume_base * 10"),
        ("volumes_match_prices", "volume_quote = volume_base"),
        ("volumes_match_prices", "volume_quote = volume_base * high * 1.002"),
        ("volumes_match_prices", "volume_quote = volume_base * low * 0.998"),
        ("volumes_match_prices", "volume_base = 0"),
        ("volumes_match_prices", "volume_quote = 0"),
        ("volumes_match_prices", "volume_base = -volume_base, volume_quote = -volume_quote"),
        ("volumes_match_prices", "volume_base = 0, volume_quote = 0, high = low + 1"),
    ],
)
def test_impossible_values_are_found(
    sound: Warehouse, plant: Callable[[str], None], rule: str, change: str
) -> None:
    plant(f"update candles set {change} where {ONE}")
    [row] = found(sound, rule).first
    assert row[:2] == ("BTC-PERPETUAL", "2024-04-08 00:00:00+00")


def test_the_rounding_of_the_exchange_is_no_offence(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    plant(f"update candles set volume_quote = volume_base * high * 1.0005 where {ONE}")
    assert found(sound, "volumes_match_prices").count == 0


@pytest.mark.parametrize("resolution", EACH_KIND)
def test_an_instrument_that_fell_behind_is_found(sound: Warehouse, resolution: str) -> None:
    for days, behind in ((1, set()), (4, set(NAMES))):
        later = TODAY + timedelta(days=days)
        rows = found(sound, "is_fresh", resolution, NAMES, later).first
        assert {row[0] for row in rows} == behind
    never = found(sound, "is_fresh", resolution, ("NEVER-ASKED", *NAMES))
    assert never.first == [("NEVER-ASKED", "", "")]


def test_a_resolution_that_is_not_used_need_not_be_fresh(sound: Warehouse) -> None:
    assert found(sound, "is_fresh", "5", ("NEVER-ASKED",)).count == 0


def test_an_instrument_that_expired_is_not_behind(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    plant("update candle_days set state = 'not_listed' where day >= '2024-04-08'")
    assert found(sound, "is_fresh").count == 0


@pytest.mark.parametrize(
    ("resolution", "change", "output"),
    [
        ("1D", "open = open + 1", "open "),
        ("1D", "volume_base = volume_base + 0.0001", "volume_base "),  # BTC's smallest trade
        ("60", "high = high + 0.5, low = low - 0.5", "high "),
        ("60", "close = close + 0.5", "close "),
        ("60", "volume_quote = volume_quote + 10", "volume_quote "),
    ],
)
def test_a_coarse_candle_that_differs_from_its_minutes_is_found(
    sound: Warehouse, plant: Callable[[str], None], resolution: str, change: str, output: str
) -> None:
    plant(f"""
        update candles set {change}
        where resolution = '{resolution}' and instrument_name = 'BTC-PERPETUAL'
          and opened_at = '2024-04-08 08:00:00+00'
    """)
    [row] = found(sound, "agrees_with_one_minute_candles", resolution).first
    assert row[:2] == ("BTC-PERPETUAL", "2024-04-08 08:00:00+00")
    assert row[2].startswith(output)
    assert ", in minutes " in row[2]
    # An hour with a missing minute is not compared.
    plant("delete from candles where resolution = '1' and opened_at = '2024-04-08 08:07:00+00'")
    assert found(sound, "agrees_with_one_minute_candles", resolution).count == 0


def test_minutes_without_a_trade_may_count_or_not(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    # An hour whose first minute has no trade and repeats a close far from all other prices.
    hour = "opened_at = '2024-04-08 08:00:00+00'"
    plant(f"update candles set volume_base = 0, volume_quote = 0 where resolution = '1' and {hour}")
    plant(f"""
        update candles set open = traded.open, high = traded.high, low = traded.low,
               volume_base = traded.volume_base, volume_quote = traded.volume_quote
        from (
            select instrument_name, min_by(open, opened_at) as open, max(high) as high,
                   min(low) as low, sum(volume_base) as volume_base,
                   sum(volume_quote) as volume_quote
            from candles
            where resolution = '1'
              and opened_at between '2024-04-08 08:01:00+00' and '2024-04-08 08:59:00+00'
            group by all
        ) as traded
        where resolution = '60' and {hour} and traded.instrument_name = candles.instrument_name
    """)
    for far in (1e9, 1.0):
        plant(
            f"update candles set open = {far}, high = {far}, low = {far}, close = {far} "
            f"where resolution = '1' and {hour}"
        )
        assert found(sound, "agrees_with_one_minute_candles", "60").count == 0
    plant(f"update candles set open = 1, low = 1 where resolution = '60' and {hour}")
    assert found(sound, "agrees_with_one_minute_candles", "60").count == 0  # that minute counts
    plant(f"update candles set open = 2, low = 2 where resolution = '60' and {hour}")
    assert found(sound, "agrees_with_one_minute_candles", "60").count == 2


def test_the_first_ten_rows_come_with_the_number_of_all(
    sound: Warehouse, plant: Callable[[str], None]
) -> None:
    plant("update candles set high = low - 1 where resolution = '1'")
    broken = found(sound, "prices_are_in_range")
    assert (len(broken.first), broken.count) == (10, 2 * (3 * 1_440 + 720))
    assert broken.first == sorted(broken.first)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_sql_that_is_shown_can_be_run_as_it_stands(sound: Warehouse, rule: Rule) -> None:
    dataset = CANDLES[Resolution.HOUR_1]
    sql = rule.sql(rule.parameters(dataset.rule_values(("O'NEILL",), TODAY)))
    assert "$" not in sql
    with sound.reading() as connection:
        assert len(connection.execute(sql).fetchall()) == (rule.name == "is_fresh")


def test_only_what_this_side_alone_can_break_is_an_error() -> None:
    errors = {rule.name for rule in RULES if rule.severity == "ERROR"}
    assert errors == {"no_past_day_is_open", "candle_times_are_unique_and_regular"}
    for rule in RULES:
        assert rule.because
