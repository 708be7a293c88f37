"""The channels of the configured instruments."""

import pytest

from deribit_pipeline.domain.specification import kind_of
from deribit_pipeline.errors import InputError
from deribit_pipeline.recorder.trade_channels import trade_channels
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings


def channels(instruments: str, **env: str) -> dict[str, str]:
    return trade_channels(Settings.from_env({"DERIBIT_INSTRUMENTS": instruments, **env}))


@pytest.mark.parametrize(
    ("instruments", "series"),
    [
        ("BTC-PERPETUAL,BTC-25DEC26", "future.BTC"),
        ("SOL_USDC-PERPETUAL", "future.USDC"),
        ("BTC-25DEC26-90000-C,XRP_USDC-25DEC26-0d625-P", "option.BTC option.USDC"),
        ("BTC-FS-25DEC26_PERP,BTC-CS-25DEC26-1_2", "future_combo.BTC option_combo.BTC"),
        ("kind=option currency=BTC", "option.BTC"),
        ("perpetual", "future.BTC future.ETH future.USDC future.USDT future.EURR"),
        ("currency=ETH", "future.ETH option.ETH future_combo.ETH option_combo.ETH"),
        ("kind=future currency=SOL", "future.SOL"),
        ("kind=spot,BTC-PERPETUAL", "future.BTC"),
    ],
)
def test_each_kind_and_currency_has_a_channel_of_trades_and_one_of_states(
    instruments: str, series: str
) -> None:
    assert channels(instruments) == {
        channel: stream
        for each in series.split()
        for channel, stream in (
            (f"trades.{each}.100ms", f"trades/{each}"),
            (f"instrument.state.{each}", f"instrument_state/{each}"),
        )
    }


def test_with_a_key_trades_are_not_batched() -> None:
    key = {"DERIBIT_CLIENT_ID": "id", "DERIBIT_CLIENT_SECRET": "secret"}
    assert "trades.future.BTC.raw" in channels("BTC-PERPETUAL", **key)


def test_spot_pairs_are_left_out_with_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    assert "trades.future.ETH.100ms" in channels("BTC_USDC,ETH-PERPETUAL")
    sentence = "Trades of BTC_USDC are not recorded: the exchange publishes no trades of spot pairs"
    assert caplog.messages == [sentence]


@pytest.mark.parametrize("instruments", ["BTC_USDC", "kind=spot"])
def test_nothing_to_record_is_one_sentence(instruments: str) -> None:
    with pytest.raises(InputError, match="DERIBIT_GROUPS name nothing whose trades can be"):
        channels(instruments)


def test_a_kind_is_read_from_every_name_of_the_exchange() -> None:
    listings = SandboxExchange().listings()
    assert len({listing.kind for listing in listings}) == 5
    assert [kind_of(each.instrument_name) for each in listings] == [each.kind for each in listings]
