"""Wrong input and settings: one sentence, exit 2, and nothing is changed."""

import pytest

from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.configured_commands import WEEK, Command, assert_wrong


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--start 2024-01-01 --resolution 7", "--resolution must be one of 1, .*, 1D, was '7'"),
        ("--start 2024-01-02 --end 2024-01-01", "--end 2024-01-01 is before --start 2024-01-02"),
        ("--start 2024-02-30", "--start must be a day such as 2024-01-31, .*, was '2024-02-30'"),
        ("--start 0001-01-01 --end 0001-01-02", "--start 0001-01-01 is before 1970"),
        ("--start -7", "--start must be a day such as .*, today, yesterday or -7d .*, was '-7'"),
        ("--start 20240101", "--start must be a day such as 2024-01-31, .*, was '20240101'"),
        ("--start 2024-01-01 --end 2999-01-01", "--end 2999-01-01 is in the future: today is"),
        ("--start 2024-04-11", "--start 2024-04-11 is in the future: today is 2024-04-10"),
        ("--start 2024-04-10 --end 2024-04-11", "--end 2024-04-11 is in the future"),
        ("--start 2024-01-01 --instruments ,", "--instruments names no instrument"),
        ("--start 2024-01-01 --instruments=", "--instruments names no instrument"),
        ("--start 2024-01-01 --instruments BTC|X", "'BTC|X', which cannot be an instrument"),
        (
            "--start 2024-01-01 --instruments BTC-PERPETUAL,NOPE",
            "The exchange lists no instrument NOPE",
        ),
        ("", "Missing option '--start'"),
        ("--start 2024-01-01 --nonsense", "No such option.*--nonsense"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_2(
    command: Command, settings: Settings, arguments: str, sentence: str
) -> None:
    assert_wrong(command("backfill", *arguments.split()), sentence)
    assert not settings.warehouse.exists()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DERIBIT_BASE_URL", "not a url", "DERIBIT_BASE_URL must be an API root"),
        ("DERIBIT_ENV", "moon", "DERIBIT_ENV must be one of mainnet, testnet, sandbox"),
        ("DERIBIT_ENV", "testnet", "testnet=False where True was expected"),
        ("DERIBIT_WAREHOUSE", "/proc/nowhere/w.duckdb", "cannot be (made|written)"),
        ("DERIBIT_WAREHOUSE", __file__, "cannot be opened as a DuckDB file"),
        ("DAGSTER_HOME", "/proc/nowhere", "DAGSTER_HOME /proc/nowhere cannot be used"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_2(
    command: Command, name: str, value: str, sentence: str
) -> None:
    assert_wrong(command("backfill", *WEEK, **{name: value}), sentence)


def test_every_command_refuses_a_warehouse_of_another_environment(
    command: Command, settings: Settings
) -> None:
    command("backfill", *WEEK)
    before = settings.warehouse.read_bytes()
    output = command("backfill", *WEEK, DERIBIT_ENV="mainnet")
    assert output.code == 2
    assert "is the warehouse of sandbox, and DERIBIT_ENV is mainnet" in output.err
    assert settings.warehouse.read_bytes() == before
