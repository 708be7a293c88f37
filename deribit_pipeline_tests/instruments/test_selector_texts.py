"""Names, selectors and days as a user writes them: understood, or refused with one sentence."""

from datetime import date

import pytest

from deribit_pipeline.errors import InputError
from deribit_pipeline.selection import Choice, Selector, choice, day, nearest
from deribit_pipeline.settings import Settings

BTC_FUTURES = Selector(kind="future", currency="BTC")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BTC-PERPETUAL, SOL_USDC", Choice(("BTC-PERPETUAL", "SOL_USDC"))),
        ("perpetual", Choice((), (Selector(is_perpetual=True),))),
        (
            "BTC-PERPETUAL, kind=future  currency=BTC, kind=spot,BTC-PERPETUAL",
            Choice(("BTC-PERPETUAL",), (BTC_FUTURES, Selector("spot"))),
        ),
        ("btc-perpetual, Btc-29mar24", Choice(("BTC-PERPETUAL", "BTC-29MAR24"))),
        ("xrp_usdc-30jun23-0D625-c", Choice(("XRP_USDC-30JUN23-0d625-C",))),
        ("KIND=Future currency = btc", Choice((), (BTC_FUTURES,))),
        ("Perpetual base=sol", Choice((), (Selector(base="SOL", is_perpetual=True),))),
        ("expiry=29MAR24", Choice((), (Selector(expiry=date(2024, 3, 29)),))),
        ("expiry=5jan24", Choice((), (Selector(expiry=date(2024, 1, 5)),))),
        (
            "kind=option currency=ETH expiry=2024-03-29 expired",
            Choice((), (Selector("option", "ETH", None, date(2024, 3, 29), False, True),)),
        ),
        ("expired base=XRP", Choice((), (Selector(base="XRP", is_with_expired=True),))),
    ],
)
def test_names_and_selectors_are_distinguished(text: str, found: Choice) -> None:
    assert choice(text, "DERIBIT_INSTRUMENTS") == found
    assert choice(", ".join([*found.names, *map(str, found.selectors)]), "again") == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind=swap", "'kind=swap': kind must be one of future, option, spot"),
        ("kind=options", r"option_combo\. Did you mean option"),
        ("kind=perpetual", r"option_combo\. Perpetuals are selected by the word perpetual"),
        ("currency=B-C", "currency must be one of BTC, ETH, USDC"),
        ("expiry=31FEB24", "expiry must be a day such as 2024-03-29 or 29MAR24"),
        ("expiry=29ABC24", "expiry must be a day such as 2024-03-29 or 29MAR24"),
        ("option currency=BTC", "in which 'option' is not understood"),
        ("kind=option,currency=BTC", "write 'kind=option currency=BTC', with a space"),
        ("kind=option currency=BTC,expired", "write 'kind=option currency=BTC expired', with a sp"),
        ("perpetual,currency=BTC", "write 'perpetual currency=BTC', with a space"),
        ("currency=BTC,ETH", "repeat its name, as in currency=BTC,currency=ETH"),
        ("kind=option,Future", "repeat its name, as in kind=option,kind=Future"),
        ("kind=future old", "in which 'old' is not understood"),
        ("strike=7", "in which 'strike=7' is not understood"),
        ("kind=", "in which 'kind=' is not understood"),
        ("kind=future kind=spot", "in which 'kind=spot' is not understood"),
        ("BTC-PERPETUAL ETH-PERPETUAL", "cannot be an instrument"),
    ],
)
def test_a_malformed_selector_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=f"DERIBIT_INSTRUMENTS holds .*{sentence}") as caught:
        Settings.from_env({"DERIBIT_INSTRUMENTS": f"BTC-PERPETUAL,{text}"})
    assert "\n" not in str(caught.value)


def test_the_settings_keep_names_and_selectors_apart() -> None:
    settings = Settings.from_env({"DERIBIT_INSTRUMENTS": "ETH-PERPETUAL,kind=future currency=BTC"})
    assert settings.instruments == ("ETH-PERPETUAL",)
    assert settings.selectors == (BTC_FUTURES,)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("BTC-PERPETUALL", ["BTC-PERPETUAL"]),
        ("sol-perpetual", ["SOL_USDC-PERPETUAL"]),
        ("btcusd", ["btc_usd"]),
        ("BTC-26DEC26", ["BTC-25DEC26"]),
        ("NOPE", []),
    ],
)
def test_the_nearest_names_are_found(name: str, near: list[str]) -> None:
    names = ["BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL", "BTC-25DEC26", "btc_usd"]
    assert nearest(name, [*names, "BTC-FS-25DEC26_PERP", "BTC-25DEC26-94000-P"]) == near


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2024-01-31", date(2024, 1, 31)),
        ("today", date(2024, 4, 10)),
        ("Yesterday", date(2024, 4, 9)),
        ("-7d", date(2024, 4, 3)),
        ("-100D", date(2024, 1, 1)),
    ],
)
def test_days_may_be_relative_to_today(text: str, found: date) -> None:
    assert day(text, "--start", date(2024, 4, 10)) == found


@pytest.mark.parametrize("text", ["7d", "-7", "+7d", "-99999999d", "tomorrow", "", "1"])
def test_other_days_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="start must be a day such as 2024-01-31, today, yest"):
        day(text, "start", date(2024, 4, 10))
