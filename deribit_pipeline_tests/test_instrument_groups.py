"""DERIBIT_GROUPS: groups of instruments, each with assets of its own."""

import re
from datetime import date
from pathlib import Path

import pytest

from deribit_pipeline.errors import DeribitPipelineError, InputError
from deribit_pipeline.instrument_groups import InstrumentGroup
from deribit_pipeline.selection import Choice, Selector
from deribit_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
SPOT = Selector(kind="spot")


def test_groups_are_read_and_all_their_instruments_are_kept() -> None:
    text = "alts since 2022-01-01 : SOL_USDC-PERPETUAL, XRP_USDC-PERPETUAL;tail:kind=spot ; "
    settings = Settings.from_env({"DERIBIT_INSTRUMENTS": "BTC-PERPETUAL", "DERIBIT_GROUPS": text})
    alts = ("SOL_USDC-PERPETUAL", "XRP_USDC-PERPETUAL")
    assert settings.groups == (
        InstrumentGroup("alts", Choice(alts), date(2022, 1, 1)),
        InstrumentGroup("tail", Choice(selectors=(SPOT,))),
    )
    assert settings.instruments == ("BTC-PERPETUAL", *alts)
    assert settings.selectors == (SPOT,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("alts", "DERIBIT_GROUPS holds 'alts', which is malformed: write it like alts since"),
        ("Alts: SOL_USDC-PERPETUAL", "names of at most 40 lower-case letters"),
        ("alts from 2022-01-01: SOL_USDC-PERPETUAL", "is malformed"),
        (
            "alts since 2022: SOL_USDC-PERPETUAL",
            "of the group alts of DERIBIT_GROUPS must be a day",
        ),
        ("alts since 2999-01-01: SOL_USDC-PERPETUAL", "must be a day until today"),
        ("alts:", "The group alts of DERIBIT_GROUPS names no instrument"),
        ("alts: kind=shoe", "The group alts of DERIBIT_GROUPS holds the selector 'kind=shoe'"),
        ("a: SOL_USDC-PERPETUAL; a: XRP_USDC-PERPETUAL", "has two groups called a"),
        ("a: SOL_USDC-PERPETUAL; b: SOL_USDC-PERPETUAL", "SOL_USDC-PERPETUAL is in two groups"),
        ("a: kind=spot; b: kind=spot", "kind=spot is in two groups"),
        (
            "a: ETH-PERPETUAL",
            "ETH-PERPETUAL is in two groups of DERIBIT_GROUPS, or in one and in "
            "DERIBIT_INSTRUMENTS, which is BTC-PERPETUAL, ETH-PERPETUAL: leave it in one of them.",
        ),
        ("candles_1m: SOL_USDC-PERPETUAL", "is the name of an asset or of an asset group"),
        ("market: SOL_USDC-PERPETUAL", "is the name of an asset or of an asset group"),
        ("candles_minutes: SOL_USDC-PERPETUAL", "is the name of an asset or of an asset group"),
        ("instruments: SOL_USDC-PERPETUAL", "is the name of an asset or of an asset group"),
    ],
)
def test_groups_that_are_wrong_are_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(DeribitPipelineError) as caught:
        Settings.from_env({"DERIBIT_GROUPS": text})
    assert sentence in str(caught.value)
    assert isinstance(caught.value, InputError)  # exit code 2
    assert "\n" not in str(caught.value)


def test_the_example_of_groups_goes_with_the_default_instruments() -> None:
    text = (ROOT / ".env.example").read_text()
    [example] = re.findall(r"^# (\w+: .+; .+ since .+)$", text, re.MULTILINE)
    settings = Settings.from_env({"DERIBIT_GROUPS": example})
    assert [group.name for group in settings.groups] == ["eth", "alts"]
