"""Before the first response: an exchange that cannot be reached is given up soon, with a remedy."""

import asyncio
import logging

import httpx
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.errors import DeribitUnavailable, DeribitUnreachable
from deribit_pipeline.exchange import first_contact as first_contact_module
from deribit_pipeline.exchange.first_contact import FirstContact
from deribit_pipeline.exchange.proxies import Proxy
from deribit_pipeline.exchange.retries import Retries
from deribit_pipeline.exchange.transport import Root
from deribit_pipeline.settings import EXCHANGE_URLS, HISTORY_URLS, Settings
from deribit_pipeline_tests.helpers.processes import environment

MAINNET = EXCHANGE_URLS[Settings().environment]
SANDBOX = "set DERIBIT_ENV=sandbox, whose exchange is built in"
PROXY = Proxy(httpx.URL("http://proxy.example"), "HTTPS_PROXY")
NO_CONNECTION = DeribitUnreachable("cannot be reached", method="public/test", params={})
REFUSED = DeribitUnavailable("HTTP 502", method="public/test", params={})


def waits_for(error: DeribitUnavailable, *, has_answered: bool) -> tuple[list[float], str]:
    """The pauses between attempts that all fail, and the last error."""
    waits: list[float] = []
    first_contact = FirstContact(Root(MAINNET))
    first_contact.has_answered = has_answered

    async def attempt() -> None:
        raise error

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 100:
            raise asyncio.CancelledError  # it would go on for long, as no time passes

    with pytest.raises((DeribitUnavailable, asyncio.CancelledError)) as raised:
        asyncio.run(Retries(60.0, first_contact).run(attempt, sleep))
    return waits, str(raised.value)


def test_an_exchange_that_was_never_reached_is_given_up_within_a_second() -> None:
    waits, message = waits_for(NO_CONNECTION, has_answered=False)
    assert max(waits) <= 1.0
    assert len(waits) < 100
    assert message.endswith(f"tries). Check the network, or {SANDBOX} and needs none")


def test_other_failures_and_later_ones_are_retried_for_longer() -> None:
    for error, has_answered in ((REFUSED, False), (NO_CONNECTION, True), (REFUSED, True)):
        waits, message = waits_for(error, has_answered=has_answered)
        assert max(waits) > 5.0
        assert "DERIBIT_ENV" not in message


@pytest.mark.parametrize(
    ("root", "remedy"),
    [
        (Root(MAINNET), f"Check the network, or {SANDBOX}"),
        (Root(HISTORY_URLS[Settings().environment], True), f"Check the network, or {SANDBOX}"),
        (Root(MAINNET, proxy=PROXY), f"Check HTTPS_PROXY and the network, or {SANDBOX}"),
        (Root("http://exchange.example"), "Check DERIBIT_BASE_URL and the network"),
        (Root("http://exchange.example", True), "Check DERIBIT_HISTORY_URL and the network"),
    ],
    ids=["mainnet", "archive", "proxy", "own root", "own archive"],
)
def test_the_remedy_names_what_the_user_can_change(root: Root, remedy: str) -> None:
    assert FirstContact(root).remedy.startswith(remedy)


def test_silence_before_the_first_response_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A firewall that drops everything, or a proxy that never answers."""
    first_contact = FirstContact(Root(MAINNET), silence=0.0)

    async def silent() -> None:
        with first_contact.waiting():
            while not caplog.records:
                await asyncio.sleep(0)

    async def several() -> None:
        await asyncio.gather(silent(), silent())
        await silent()

    with caplog.at_level(logging.WARNING):
        asyncio.run(several())
    [record] = caplog.records
    assert f"{MAINNET} has not answered yet. Check the network, or {SANDBOX}" in record.message


def test_after_a_response_silence_is_not_remarked_upon(caplog: pytest.LogCaptureFixture) -> None:
    first_contact = FirstContact(Root(MAINNET), silence=0.0)
    first_contact.has_answered = True

    async def silent() -> None:
        with first_contact.waiting():
            for _ in range(10):
                await asyncio.sleep(0)

    asyncio.run(silent())
    assert not caplog.records


def test_a_backfill_of_mainnet_without_a_network_names_the_sandbox(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DERIBIT_ENV", "mainnet")
    monkeypatch.setenv("DERIBIT_BASE_URL", "")
    monkeypatch.setattr(first_contact_module, "PATIENCE_WITHOUT_CONNECTION", 0.0)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    days = ("--start", "2024-01-01", "--end", "2024-01-01")
    assert exit_code(["backfill", "--instruments", "BTC-PERPETUAL", *days]) == 1
    assert SANDBOX in capsys.readouterr().err
