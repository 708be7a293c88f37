"""Instruments are selected by name and by selector, as of the last refresh."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.datasets.candles import CANDLES
from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.instruments_asset import instruments_asset, instruments_schedule
from deribit_pipeline.defs.schedules import CRONS
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.specification import CURRENCIES
from deribit_pipeline.engine.universe import chosen, chosen_of_held, with_universe
from deribit_pipeline.errors import UnknownInstrument
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.instruments.listings import listings
from deribit_pipeline.instruments.refresh import refresh
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.selection import Choice, Selector, choice
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.pipeline import Pipeline
from deribit_pipeline_tests.helpers.processes import environment
from deribit_pipeline_tests.helpers.written_warehouse import forget_datasets

BTC_FUTURES = Selector(kind="future", currency="BTC")


@pytest.fixture(autouse=True)
def _credits_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of instruments are limited to one call a second after fifty, whatever the settings."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def known(opened: Callable[..., Exchange], warehouse: Warehouse, clock: Clock) -> Warehouse:
    """A warehouse with the listings of BTC at the start of 2024."""
    clock.now = datetime(2024, 1, 2, tzinfo=UTC)
    refresh(opened(), warehouse, "BTC")
    return warehouse


class Output(NamedTuple):
    """The output and the exit code of a command."""

    code: int
    out: str
    err: str

    @property
    def names(self) -> list[str]:
        """The first cell of each row."""
        return [line.split()[1] for line in self.out.splitlines() if line.startswith("│")]


Command = Callable[..., Output]


@pytest.fixture
def command(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command line with an environment that points at the sandbox."""
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Output:
        capsys.readouterr()
        code = exit_code(list(arguments))
        return Output(code, *capsys.readouterr())

    return run


def test_selectors_add_to_the_names_what_trades(known: Warehouse) -> None:
    found = chosen(known, Choice(("SOL_USDC",), (BTC_FUTURES,)))
    assert found == (
        "SOL_USDC", "BTC-PERPETUAL", "BTC-29MAR24", "BTC-26JAN24", "BTC-5JAN24",
    )  # fmt: skip


def test_what_has_expired_is_chosen_only_by_the_word(
    known: Warehouse, opened: Callable[..., Exchange], clock: Clock
) -> None:
    clock.now = datetime(2024, 1, 6, tzinfo=UTC)
    refresh(opened(), known, "BTC")
    assert "BTC-5JAN24" not in chosen(known, Choice((), (BTC_FUTURES,)))
    assert "BTC-5JAN24" in chosen(known, Choice((), (BTC_FUTURES.with_expired(),)))


def test_the_universe_is_the_names_and_what_the_selectors_find(
    settings: Settings, known: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = replace(settings, instruments=("ETH-PERPETUAL",), selectors=(BTC_FUTURES,))
    assert with_universe(wanted, known).instruments[:2] == ("ETH-PERPETUAL", "BTC-PERPETUAL")
    assert with_universe(settings, known) is settings
    assert not caplog.records


def test_a_code_location_loads_without_the_table_and_says_what_to_do(
    settings: Settings, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = replace(settings, instruments=("ETH-PERPETUAL",), selectors=(BTC_FUTURES,))
    assert with_universe(wanted, warehouse).instruments == ("ETH-PERPETUAL",)
    assert "kind=future currency=BTC" in caplog.text
    assert "materialize the asset instruments, then reload" in caplog.text
    dg.Definitions.validate_loadable(build_definitions(replace(wanted, instruments=())))


def test_a_currency_that_was_never_requested_is_named(
    settings: Settings, known: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    selectors = (Selector(is_perpetual=True, currency="BTC"), Selector("future", "USDC"))
    found = with_universe(replace(settings, selectors=selectors), known)
    assert "BTC-PERPETUAL" in found.instruments
    assert "the instruments of USDC have never been requested: materialize" in caplog.text


def test_a_file_of_an_older_version_knows_no_instrument(
    settings: Settings, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    with warehouse.writing() as connection:
        forget_datasets(connection)
        connection.execute("update warehouse_info set schema_version = 1")
    wanted = replace(settings, instruments=("ETH-PERPETUAL",), selectors=(BTC_FUTURES,))
    assert with_universe(wanted, warehouse).instruments == ("ETH-PERPETUAL",)
    assert "the instruments of BTC have never been requested: materialize" in caplog.text


@pytest.mark.parametrize(
    ("text", "lists"),
    [
        ("perpetual", CURRENCIES),
        ("kind=option currency=ETH", ("ETH",)),
        ("kind=option currency=ETH, currency=BTC expiry=2024-03-29", ("BTC", "ETH")),
        ("kind=spot currency=USDC", CURRENCIES),
        ("expired currency=USDC", CURRENCIES),
        ("BTC-PERPETUAL", ()),
    ],
)
def test_a_selector_needs_the_lists_that_may_tell_what_it_selects(
    text: str, lists: tuple[str, ...]
) -> None:
    assert choice(text, "--instruments").lists == lists


def test_the_asset_makes_the_partitions_that_the_selectors_mean(
    settings: Settings, warehouse: Warehouse, clock: Clock
) -> None:
    clock.now = datetime(2024, 1, 2, tzinfo=UTC)
    wanted = replace(settings, instruments=(), selectors=(BTC_FUTURES,))
    job = build_definitions(wanted).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        made = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("instruments")], partition_key="BTC"
        )
        [event] = instance.fetch_materializations(dg.AssetKey("instruments"), limit=1).records
    assert made.success
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert (metadata["new"].value, metadata["changed"].value) == (65, 0)
    assert rows(warehouse, "select distinct run_id from instruments") == [(made.run_id,)]
    grid = build_definitions(wanted).resolve_assets_def("candles_1m").partitions_def
    assert isinstance(grid, dg.MultiPartitionsDefinition)
    assert "BTC-5JAN24|2024-01-02" in grid.get_partition_keys()


def test_the_schedule_requests_every_currency(settings: Settings) -> None:
    schedule = instruments_schedule(settings, instruments_asset(settings))
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2024, 1, 2, 8, 25))
    ticked: Any = schedule(context)
    assert [request.partition_key for request in ticked] == list(CURRENCIES)
    assert schedule.cron_schedule == CRONS["instruments_daily"]


def test_what_www_has_forgotten_the_archive_lists(
    opened: Callable[..., Exchange], warehouse: Warehouse
) -> None:
    exchange = opened()
    found, _ = exchange.run(listings(exchange, warehouse, ["BTC-29MAR24", "BTC-PERPETUAL"]))
    assert found["BTC-29MAR24"].expires_at == datetime(2024, 3, 29, 8, tzinfo=UTC)
    assert (found["BTC-29MAR24"].is_archived, found["BTC-PERPETUAL"].is_archived) == (True, False)
    with pytest.raises(UnknownInstrument, match="The exchange lists no instrument NOPE"):
        exchange.run(listings(exchange, warehouse, ["NOPE"]))


def test_what_the_archive_does_not_say_the_table_does(
    settings: Settings, known: Warehouse, clock: Clock
) -> None:
    clock.now = datetime(2024, 4, 10, tzinfo=UTC)
    nowhere = replace(settings, history_url="http://127.0.0.1:9/api/v2")
    with open_exchange(nowhere, patience=0.05) as exchange:
        found, _ = exchange.run(listings(exchange, known, ["BTC-29MAR24"]))
        assert found["BTC-29MAR24"].is_archived
        with pytest.raises(UnknownInstrument):
            exchange.run(listings(exchange, known, ["ETH-29MAR24"]))


def test_candles_of_what_expired_long_ago_come_from_the_archive(
    pipeline: Pipeline, sandbox: SandboxExchange, known: Warehouse, clock: Clock
) -> None:
    clock.now = datetime(2024, 4, 10, tzinfo=UTC)
    name = "BTC-29MAR24-42000-C"
    assert not sandbox.is_remembered(next(
        each for each in sandbox.listings() if each.instrument_name == name
    ))  # fmt: skip
    outcome = pipeline.backfill(date(2024, 3, 28), date(2024, 3, 30), "60", [name])
    assert not outcome.failures
    assert {day.day: str(proof.state) for (_, day), proof in outcome.proofs.items()} == {
        28: "complete", 29: "complete", 30: "not_listed",
    }  # fmt: skip
    assert len(pipeline.held(name, "60")) == 32
    options = Choice((), (Selector(kind="option"),))
    assert chosen_of_held(known, options) == (name,)
    assert chosen_of_held(known, options, (CANDLES[Resolution.MINUTE_1],)) == ()


def test_the_command_lists_the_instruments_of_a_day(command: Command) -> None:
    output = command(
        "instruments", "--as-of", "2024-01-02", "--kind", "future", "--currency", "BTC"
    )
    assert output.code == 0
    assert output.names == ["BTC-PERPETUAL", "BTC-29MAR24", "BTC-26JAN24", "BTC-5JAN24"]
    assert "4 instruments (4 future)" in output.err
    assert "Instruments of BTC" in output.err
    again = command("instruments", "--currency", "BTC", "--kind", "future")
    assert "Instruments of" not in again.err
    assert again.names == ["BTC-PERPETUAL"]
    assert again.err.startswith("1 instrument (1 future)")
    assert "BTC-5JAN24" in command("instruments", "--currency", "BTC", "--expired").out
    assert "Instruments of BTC: 0 new" in command("instruments", "--refresh").err


@pytest.mark.parametrize(
    "arguments", [("--currency", "BTC", "--kind", "spot"), ("--as-of", "2010-01-01")]
)
def test_no_instrument_is_one_sentence_and_no_table(
    command: Command, arguments: tuple[str, ...]
) -> None:
    output = command("instruments", *arguments)
    assert (output.code, output.out) == (0, "")
    assert "\n0 instruments; the lists were last requested at " in output.err


def test_what_was_never_requested_is_requested_before_it_is_called_nothing(
    command: Command,
) -> None:
    output = command("instruments", "--refresh", "--currency", "BTC")
    assert "Instruments of USDC" not in output.err
    never = "Never requested: instruments of {}; run deribit-pipeline instruments --refresh.\n"
    assert output.err.endswith(never.format("ETH, USDC, USDT, EURR"))
    output = command("coverage", "--instruments", "perpetual currency=ETH")
    assert (output.code, output.err.count("\n")) == (2, 1)
    assert output.err.endswith(never.format("ETH"))
    output = command("instruments", "--currency", "USDC", "--kind", "future")
    assert re.findall("Instruments of ([A-Z]+):", output.err) == ["USDC"]
    assert "SOL_USDC-PERPETUAL" in output.names
    assert "Never" not in output.err
    day = ("--start", "2024-01-02", "--end", "2024-01-02", "--resolution", "60")
    output = command("backfill", "--instruments", "perpetual currency=ETH", *day)
    assert re.findall("Instruments of ([A-Z]+):", output.err) == ["ETH"]
    assert (output.code, output.out.count("ETH-PERPETUAL")) == (0, 1)
    # A currency without listed instruments was requested all the same.
    for _ in range(2):
        output = command("instruments")
    assert "Instruments of" not in output.err


def days(first: str, last: str) -> tuple[str, ...]:
    return ("--start", first, "--end", last, "--resolution", "1D")


def test_a_selector_takes_what_was_listed_in_the_window(command: Command) -> None:
    """Expired since or not, and not what was listed later: no survivorship bias."""
    output = command(
        "backfill", "--instruments", "kind=future currency=BTC", *days("2024-01-02", "2024-01-02")
    )
    assert output.code == 0
    assert output.names == ["BTC-PERPETUAL", "BTC-29MAR24", "BTC-26JAN24", "BTC-5JAN24"]
    sentence = "4 of 4 BTC futures were listed in the window, according to the listings of 2024-04-"
    assert sentence in output.err
    covered = command("coverage", "--instruments", "kind=future expiry=5JAN24")
    assert "BTC-5JAN24 1d" in covered.out
    assert "BTC-26JAN24" not in covered.out
    assert command("verify", "--instruments", "perpetual currency=btc").code == 0


@pytest.mark.parametrize(
    ("first", "last", "listed"),
    [
        ("2023-11-29", "2023-11-29", ["BTC-PERPETUAL", "BTC-29MAR24"]),
        ("2023-11-29", "2023-11-30", ["BTC-PERPETUAL", "BTC-29MAR24", "BTC-26JAN24"]),
        ("2024-03-29", "2024-03-29", ["BTC-PERPETUAL", "BTC-29MAR24"]),
        ("2024-03-30", "2024-04-09", ["BTC-PERPETUAL"]),
    ],
)
@pytest.mark.parametrize("word", ["", " expired"])
def test_a_window_bounds_what_a_selector_takes(
    command: Command, first: str, last: str, listed: list[str], word: str
) -> None:
    chosen = f"kind=future currency=BTC{word}"
    output = command("backfill", "--plan", "--instruments", chosen, *days(first, last))
    assert f"{len(listed)} of 4 BTC futures were listed in the window" in output.err
    count = len(listed) * ((date.fromisoformat(last) - date.fromisoformat(first)).days + 1)
    assert re.search(rf"requested instrument-days *│ *{count} ", output.out)


def test_a_window_without_any_listed_instrument_is_a_wrong_command(command: Command) -> None:
    options = ("--instruments", "kind=option currency=BTC", *days("2023-01-02", "2023-01-02"))
    output = command("backfill", *options)
    assert output.code == 2
    assert "0 of 60 BTC options were listed in the window" in output.err
    assert "Error: --instruments matches no instrument that was listed in the window" in output.err


def test_listings_from_before_the_end_of_the_window_are_requested_again(
    known: Warehouse, settings: Settings, command: Command, clock: Clock
) -> None:
    """The file has the listings of 2024-01-02: what was listed later is not in them."""
    clock.now = datetime(2024, 4, 10, tzinfo=UTC)
    chosen = ("--instruments", "kind=future currency=BTC")
    before = command("backfill", "--plan", *chosen, *days("2024-01-01", "2024-01-01"))
    assert "according to the listings of 2024-01-02 00:00 UTC" in before.err
    after = command("backfill", "--plan", *chosen, *days("2024-01-01", "2024-01-02"))
    assert "according to the listings of 2024-04-10 00:00 UTC" in after.err


def test_a_plan_makes_no_warehouse(command: Command, settings: Settings) -> None:
    output = command(
        "backfill", "--plan", "--instruments", "perpetual", *days("2024-01-01", "2024-01-02")
    )
    assert (output.code, settings.warehouse.exists()) == (0, False)
    assert "Creating" not in output.err


def test_a_repeated_option_adds_instruments(command: Command) -> None:
    output = command(
        "backfill", "--plan", "--instruments", "BTC-PERPETUAL", "--instruments",
        "eth-perpetual, perpetual currency=BTC", *days("2024-01-01", "2024-01-01"),
    )  # fmt: skip
    assert re.search(r"requested instrument-days *│ *2 ", output.out)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--kind", "swap"), "--kind must be one of future, option"),
        (("--currency", "b-c"), "--currency must be one of BTC, ETH"),
        (("--as-of", "last week"), "--as-of must be a day such as 2024-01-31"),
        (("--as-of", "2999-01-01"), "--as-of 2999-01-01 is in the future: today is"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    command: Command, arguments: tuple[str, ...], sentence: str
) -> None:
    output = command("instruments", *arguments)
    assert (output.code, output.err.startswith(f"Error: {sentence}")) == (2, True)


def rows(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.reading() as connection:
        return connection.execute(query).fetchall()


def test_an_unknown_instrument_gets_the_nearest_listed_names(command: Command) -> None:
    hours = ("--start", "2024-01-01", "--end", "2024-01-01", "--resolution", "60")
    output = command("backfill", "--instruments", "sol-perpetual", *hours)
    assert output.code == 2
    assert "The exchange lists no instrument SOL-PERPETUAL" in output.err
    assert output.err.endswith(" Did you mean SOL_USDC-PERPETUAL?\n")
    assert command("backfill", "--instruments", "BTC-PERPETUAL", *hours).code == 0
    for looking in ("coverage", "verify", "repair"):
        output = command(looking, "--instruments", "btc-perpetul")
        assert output.code == 2
        assert output.err.endswith("nothing of BTC-PERPETUL. Did you mean BTC-PERPETUAL?\n")
