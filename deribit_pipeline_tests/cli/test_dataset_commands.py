"""Every dataset on the command line, like candles: backfill, coverage, verify, repair."""

from datetime import date, timedelta

import dagster as dg
import pytest

from deribit_pipeline.cli.backfill_report import counted
from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.datasets.settlements import SETTLEMENTS
from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.configured_commands import Command, rows

KEY = {"DERIBIT_CLIENT_ID": CLIENT_ID, "DERIBIT_CLIENT_SECRET": CLIENT_SECRET}
TWO_DAYS = ("--start", "2024-04-08", "--end", "2024-04-09")


def requested(dataset: Dataset) -> tuple[str, ...]:
    return ("backfill", "--dataset", dataset.name, *TWO_DAYS)


@pytest.mark.parametrize(
    "dataset",
    [dataset for dataset in ROW_DATASETS if not dataset.is_recorded],
    ids=lambda dataset: dataset.name,
)
def test_a_dataset_is_backfilled_shown_recorded_and_verified(
    command: Command, settings: Settings, dataset: Dataset
) -> None:
    key = KEY if dataset.group is Group.ACCOUNT else {}
    if dataset.name == "candles_rebuilt":
        assert command("backfill", "--dataset", "trades", *TWO_DAYS).code == 0
    output = command(*requested(dataset), **key)
    assert output.code == 0, output.err
    series = {
        row[0]
        for row in rows(
            settings, f"select series from dataset_days where dataset = '{dataset.name}'"
        )
    }
    held = rows(
        settings,
        f"select state, count(*) from dataset_days where dataset = '{dataset.name}' group by all",
    )
    states = dict(held)
    assert sum(states.values()) == 2 * len(series)
    if not dataset.is_rolling:  # days that the exchange no longer returns are gapped
        # Nothing has ever settled in some currencies.
        assert set(states) - {"complete"} == ({"not_listed"} if dataset is SETTLEMENTS else set())
    shown = command("coverage", "--dataset", dataset.name)
    for name in series:
        assert f"{name} {dataset.label}" in shown.out
    verified = command("verify", "--dataset", dataset.name)
    assert (verified.code, verified.out) == (0, "")
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        recorded = instance.get_materialized_partitions(dg.AssetKey(dataset.name))
    settled = rows(
        settings,
        f"select series || '|' || day from dataset_days where dataset = '{dataset.name}' "
        "and state in ('complete', 'not_listed')",
    )
    assert recorded == {key for (key,) in settled}


def test_the_same_dataset_again_requests_nothing(command: Command) -> None:
    first = command("backfill", "--dataset", "funding_rates", *TWO_DAYS)
    again = command("backfill", "--dataset", "funding_rates", *TWO_DAYS)
    assert (first.code, again.code) == (0, 0)
    assert again.err.splitlines()[-1].startswith("0 requests, 0 hours received in")
    assert again.out == "All 4 days are already complete.\n"


def test_a_plan_of_a_dataset_counts_and_does_nothing(command: Command, settings: Settings) -> None:
    output = command(
        "backfill", "--dataset", "funding_rates", "--start", "2023-01-01", "--end", "2023-12-31",
        "--plan",
    )  # fmt: skip
    assert output.code == 0
    cells = [line.strip("│ ").split("│") for line in output.out.splitlines() if "│" in line]
    plan = {name.strip(): value.strip() for name, value in cells}
    assert plan["requested instrument-days"] == "730"
    assert 24 <= int(plan["requests, about"]) <= 60  # 744 hours per response
    assert not settings.warehouse.exists()


def test_series_are_named_by_what_they_are(command: Command, settings: Settings) -> None:
    assert (
        command("backfill", "--dataset", "volatility_index", "--series", "eth", *TWO_DAYS).code == 0
    )
    assert rows(settings, "select distinct currency from volatility_index") == [("ETH",)]
    assert (
        command("backfill", "--dataset", "delivery_prices", "--series", "SOL_usdc", *TWO_DAYS).code
        == 0
    )
    assert rows(settings, "select distinct index_name from delivery_prices") == [("sol_usdc",)]


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (("--dataset", "ticks"), "--dataset must be one of candles, funding_rates, "),
        (("--dataset", "trades", "--resolution", "60"), "--resolution applies to candles only"),
        (("--dataset", "trades", "--series", "BTC"), "Trades are by instrument: use --"),
        (("--dataset", "settlements", "--instruments", "BTC-PERPETUAL"), "use --series"),
        (("--dataset", "volatility_index", "--series", "SOL"), "--series names SOL"),
        (("--dataset", "settlements", "--series", "BTC,SOL,XRP"),
         "--series names SOL, XRP: --dataset settlements has only BTC, ETH, USDC, USDT, EURR."),
        (("--dataset", "delivery_prices", "--series", "btc_usd,nope_usd"),
         "--series names nope_usd: the exchange has no such index."),
        (("--dataset", "index_prices", "--series", "BTC_USDX"), "--series names btc_usdx"),
        (("--dataset", "delivery_prices", "--series", "a b"), "--series holds 'a b'"),
        (("--dataset", "settlements", "--series", ","), "--series names nothing"),
        (("--dataset", "funding_rates", "--instruments", "BTC-29MAR24"),
         "Funding rates are available for perpetuals only; BTC-29MAR24 is not a perpetual."),
        (("--dataset", "funding_rates", "--instruments", "BTC-PERPETUAL,BTC-29MAR24,SOL_USDC"),
         "available for perpetuals only; BTC-29MAR24, SOL_USDC are not perpetuals."),
        (("--dataset", "trades", "--instruments", "NOPE"), "lists no instrument NOPE"),
        (("--dataset", "user_trades"), "needs your own account: set DERIBIT_CLIENT_ID"),
    ],
)  # fmt: skip
def test_wrong_input_about_a_dataset_is_one_sentence_and_exit_2(
    command: Command, options: tuple[str, ...], output: str
) -> None:
    found = command("backfill", *TWO_DAYS, *options)
    assert found.code == 2
    assert output in found.err
    assert len(found.err.splitlines()) == 1
    assert found.out == ""


def test_selectors_may_choose_more_than_perpetuals(command: Command, settings: Settings) -> None:
    futures = ("--instruments", "kind=future currency=BTC")
    assert command("backfill", "--dataset", "funding_rates", *futures, *TWO_DAYS).code == 0
    assert rows(settings, "select distinct series from dataset_days") == [("BTC-PERPETUAL",)]
    options = ("--instruments", "kind=option currency=BTC", "--start", "2024-03-01")
    output = command("backfill", "--dataset", "funding_rates", *options, "--end", "2024-03-01")
    assert output.code == 2
    assert output.err.endswith("available for perpetuals only, and --instruments selects none.\n")


def test_currencies_need_no_instrument(command: Command, settings: Settings) -> None:
    output = command(*requested(SETTLEMENTS), DERIBIT_INSTRUMENTS="kind=option expiry=2020-01-01")
    assert output.code == 0, output.err
    found = rows(settings, "select distinct series from dataset_days order by all")
    assert found == [("BTC",), ("ETH",), ("EURR",), ("USDC",), ("USDT",)]


def test_an_index_of_which_days_are_held_need_not_be_named_by_the_exchange(
    command: Command, sandbox: SandboxExchange
) -> None:
    days = ("--dataset", "delivery_prices", "--series", "sol_usdc")
    assert command("backfill", *days, *TWO_DAYS).code == 0
    sandbox.replay("public/get_index_price_names", ["btc_usd"])
    assert command("backfill", *days, "--start", "2024-04-05", "--end", "2024-04-06").code == 0


@pytest.mark.parametrize("looking", ["coverage", "verify", "repair"])
def test_what_is_not_held_is_reported_of_what_was_named(
    command: Command, settings: Settings, looking: str
) -> None:
    days = ("--resolution", "60", "--start", "2024-04-07", "--end", "2024-04-07")
    assert command("backfill", *days).code == 0
    for options, nothing in (
        (("--series", "DOGE"), "nothing of DOGE"),
        (("--instruments", "DOGE"), "nothing of DOGE"),
        (("--dataset", "trades", "--instruments", "BTC-PERPETUAL"), "no trades of BTC-PERPETUAL"),
        (("--dataset", "candles", "--instruments", "X"), "no candles of X"),
        (("--resolution", "1", "--instruments", "ETH-PERPETUAL"), "no 1m candles of ETH-PERPETUAL"),
    ):
        output = command(looking, *options)
        *_, option, name = options
        sentence = f"Error: {option} names {name}: {settings.warehouse} holds {nothing}.\n"
        assert (output.code, output.err) == (2, sentence)


@pytest.mark.parametrize(
    ("name", "series", "first"),
    [("index_prices", "btc_usd", "2024-04-08"), ("historical_volatility", "BTC", "2024-03-26")],
)
@pytest.mark.parametrize("end", ["2023-01-31", "2024-04-10"])
@pytest.mark.parametrize("plan", [(), ("--plan",)], ids=["run", "plan"])
def test_days_that_the_exchange_no_longer_has_are_refused_before_anything_is_written(
    command: Command, settings: Settings, name: str, series: str, first: str, end: str,
    plan: tuple[str, ...],
) -> None:  # fmt: skip
    output = command("backfill", "--dataset", name, "--start", "2023-01-01", "--end", end, *plan)
    assert output.code == 1
    assert output.err.startswith(f"Error: The {name.replace('_', ' ')} of {series} from 2023-01-01")
    assert f"the first day that is available is {first}, and nothing was written" in output.err
    assert not settings.warehouse.exists()
    if not plan:
        days = ("--start", first, "--end", "2024-04-09")
        assert command("backfill", "--dataset", name, *days).code == 0


def test_counts_agree_with_what_they_count() -> None:
    assert counted(1, "requests") == "1 request"
    assert counted(1, "entries") == "1 entry"
    assert counted(0, "chart requests") == "0 chart requests"
    assert counted(1_000, "entries") == "1,000 entries"


def test_a_day_without_its_trades_cannot_be_rebuilt(command: Command) -> None:
    output = command("backfill", "--dataset", "candles_rebuilt", *TWO_DAYS)
    assert output.code == 1
    assert "Not proved: BTC-PERPETUAL 2024-04-08 to 2024-04-09" in output.err
    assert "trades" in output.err.splitlines()[-1]


def test_repair_requests_running_days_of_every_dataset_once_they_are_over(
    command: Command, settings: Settings, clock: Clock
) -> None:
    for name in ("funding_rates", "trades"):
        output = command("backfill", "--dataset", name, "--start", "2024-04-09")
        assert output.code == 0
        assert "Not over yet: 2 days; every closed row is stored" in output.err
    clock.forward(timedelta(days=1))
    assert command("repair").code == 0
    assert rows(settings, "select state, count(*) from dataset_days group by all") == [
        ("complete", 8)
    ]
    output = command("repair", "--dataset", "trades")
    assert output.err.startswith("Nothing to repair")


def test_what_the_exchange_no_longer_tells_is_gapped_and_polled_rows_stay(
    command: Command, settings: Settings, clock: Clock
) -> None:
    days = ("--dataset", "historical_volatility", "--start", "2024-04-09", "--end", "2024-04-10")
    command("backfill", *days)
    clock.forward(timedelta(days=40))
    assert command("backfill", *days).code == 0
    [kept, lost] = rows(
        settings,
        "select state, received, missing, verdict from dataset_days where series = 'BTC' "
        "order by day",
    )
    assert kept == ("complete", 24, 0, "")
    assert lost == ("gapped", 12, 12, "no longer told")
    before = command("backfill", *days)
    assert before.out == "All 4 days are already proved: 2 complete, 2 gapped.\n"
    for options in ((), ("--start", "2024-04-01")):
        output = command("repair", *options)
        assert (output.code, output.err) == (
            0,
            "Nothing to repair: every day that should be complete is.\n",
        )


def test_repair_requests_no_day_that_is_no_longer_available(
    command: Command, settings: Settings, clock: Clock
) -> None:
    """The days between two polls are lost; as gaps they would be requested for ever."""
    poll = ("backfill", "--dataset", "historical_volatility", "--start")
    assert command(*poll, "2024-04-09", "--end", "2024-04-09").code == 0
    clock.forward(timedelta(days=20))
    assert command(*poll, "2024-04-29", "--end", "2024-04-29").code == 0
    assert command("repair").code == 0
    found = rows(settings, "select min(day), max(day), count(*) from dataset_days where series = "
                 "'BTC' and day > date '2024-04-10'")  # fmt: skip
    assert found == [(date(2024, 4, 15), date(2024, 4, 29), 15)]


@pytest.mark.parametrize("looking", ["coverage", "verify", "repair"])
def test_a_look_at_nothing_says_so_and_is_a_failure(
    command: Command, settings: Settings, looking: str
) -> None:
    day = ("--start", "2024-04-08", "--end", "2024-04-08")
    assert command("backfill", "--dataset", "settlements", "--series", "BTC", *day).code == 0
    output = command(looking, "--dataset", "trades")
    nothing = f"{settings.warehouse} holds no such day: see deribit-pipeline backfill --help.\n"
    assert (output.code, output.err.endswith(nothing)) == (1, True)
    assert command(looking, "--dataset", "settlements").code == 0


def test_repair_of_a_window_requests_only_days_that_were_requested_before(
    command: Command, settings: Settings
) -> None:
    """A window does not extend what is held: it selects within it."""
    hours = ("backfill", "--resolution", "60", "--instruments", "BTC-PERPETUAL")
    for day in ("2022-01-01", "2024-01-03", "2024-01-06"):
        assert command(*hours, "--start", day, "--end", day).code == 0
    assert command("repair", "--start", "2024-01-01", "--end", "2024-01-31").code == 0
    held = rows(settings, "select day from candle_days where day > date '2023-01-01' order by day")
    assert [day.day for (day,) in held] == [3, 4, 5, 6]
    output = command("repair", "--start", "2023-01-01", "--end", "2023-01-31")
    assert (output.code, "holds no such day" in output.err) == (1, True)


def test_recorded_data_of_before_any_recording_are_refused_before_anything_is_written(
    command: Command, settings: Settings
) -> None:
    days = ("--start", "2023-01-01", "--end", "2023-01-03")
    output = command("backfill", "--dataset", "book_summaries", *days)
    assert output.code == 1
    assert "nothing of BTC is recorded yet" in output.err
    assert not settings.warehouse.exists()


@pytest.mark.parametrize("text", ["1h", "1H"])
def test_a_resolution_has_two_spellings(command: Command, text: str) -> None:
    hours = ("--resolution", "60")
    options = ("--start", "2024-04-08", "--end", "2024-04-09", "--resolution", text)
    output = command("backfill", "--plan", *options)
    assert (output.code, output.out) == (0, command("backfill", "--plan", *options[:4], *hours).out)
