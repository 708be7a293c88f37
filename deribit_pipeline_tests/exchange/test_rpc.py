"""Calls over real HTTP: what is retried, what is not, and the error messages."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from deribit_pipeline.datasets.candles.calls import get_tradingview_chart_data
from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import TimeWindow, from_ms
from deribit_pipeline.errors import (
    DeribitBadPayload,
    DeribitRejected,
    DeribitUnavailable,
    UnknownInstrument,
    WrongEnvironment,
)
from deribit_pipeline.exchange.auth import Credentials, Token, TokenKeeper
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.rate_limiter import FileBucket, RateLimiter
from deribit_pipeline.exchange.rpc import Rpc
from deribit_pipeline.instruments.listings import get_specifications
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, TOKEN_LIFE, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock

T = TypeVar("T")

RIGHT = Credentials(CLIENT_ID, CLIENT_SECRET)
WRONG = Credentials(CLIENT_ID, "wr0ng-secret")
HOUR = TimeWindow(from_ms(1_704_067_200_000), from_ms(1_704_070_800_000))


class Caller:
    """Runs work with a client whose waits are noted and not waited."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self.waits: list[float] = []
        self.pool = RateLimiter(FileBucket(folder / "credits"), per_second=1e6, burst=100)

    def run(
        self,
        work: Callable[[DeribitClient], Awaitable[T]],
        *,
        credentials: Credentials | None = None,
        patience: float = 5.0,
        timeout: float = 5.0,
        is_testnet: bool = False,
    ) -> T:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        async def with_client() -> T:
            async with httpx.AsyncClient(base_url=self._url, timeout=timeout) as http:
                rpc = Rpc(
                    http, is_testnet=is_testnet, concurrency=4, pools={"": self.pool},
                    credentials=credentials, patience=patience, sleep=sleep,
                )  # fmt: skip
                return await work(DeribitClient(rpc))

        return asyncio.run(with_client())


@pytest.fixture
def caller(settings: Settings, tmp_path: Path) -> Caller:
    assert settings.base_url
    return Caller(settings.base_url, tmp_path)


def bitcoin(client: DeribitClient) -> Awaitable[object]:
    return client.get_instrument("BTC-PERPETUAL")


PASSING = [
    "429", "10028_under_200", "10028_under_400", "10028_under_429", "503_html", "502", "11051",
    "10041", "reset", "truncated",
]  # fmt: skip


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again(caller: Caller, faults: Faults, fault: str) -> None:
    faults.corrupt_next([fault, fault])
    assert caller.run(bitcoin)
    assert len(caller.waits) >= 2


def test_waits_grow(caller: Caller, faults: Faults) -> None:
    faults.corrupt_next(["502"] * 5)
    caller.run(bitcoin)
    first, *_, last = caller.waits
    assert 0.25 <= first <= 0.75
    assert 4.0 <= last <= 4.5


def test_a_refusal_by_the_rate_limit_slows_everyone(caller: Caller, faults: Faults) -> None:
    faults.corrupt_next(["10028_under_400"])
    caller.run(bitcoin)
    # The backoff, then the second the pool was emptied for.
    assert max(caller.waits) > 0.9


def test_a_time_out_is_tried_again(caller: Caller, faults: Faults) -> None:
    faults.corrupt_next(["stall"])
    assert caller.run(bitcoin, timeout=0.3)


def test_an_outage_is_given_up_and_the_last_error_kept(caller: Caller, faults: Faults) -> None:
    faults.corrupt_next(["502"] * 1_000)
    sentence = (
        r"get_instrument\(instrument_name=BTC-PERPETUAL\): "
        r"HTTP 502, and the body was not JSON \(given up after \d+ tries"
    )
    with pytest.raises(DeribitUnavailable, match=sentence) as caught:
        caller.run(bitcoin, patience=0.05)
    assert isinstance(caught.value.__cause__, DeribitUnavailable)


def test_a_refused_connection_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(DeribitUnavailable, match="connection attempts failed"):
        Caller("http://127.0.0.1:9/api/v2", tmp_path).run(bitcoin, patience=0.01)


def test_an_instrument_that_is_not_listed_is_not_requested_again(
    caller: Caller, sandbox: SandboxExchange
) -> None:
    with pytest.raises(
        UnknownInstrument, match="The exchange lists no instrument NOPE: .* not found"
    ):
        caller.run(lambda client: client.get_instrument("NOPE"))
    assert sandbox.requests["public/get_instrument"] == 1


def test_a_final_refusal_says_what_was_requested_and_what_to_do(caller: Caller) -> None:
    with pytest.raises(
        DeribitRejected,
        match=r"instrument_name=BTC_USDC, start_timestamp=17.*\(11060\); this spot pair",
    ) as caught:
        caller.run(
            lambda client: get_tradingview_chart_data(client, "BTC_USDC", Resolution.MINUTE_1, HOUR)
        )
    assert caught.value.code == 11060


def test_an_unknown_method_is_final(caller: Caller) -> None:
    with pytest.raises(DeribitRejected, match=r"Method not found \(-32601\)"):
        caller.run(lambda client: client.rpc.call("public/nothing"))


def test_another_kind_of_server_is_reported(tmp_path: Path, settings: Settings) -> None:
    assert settings.base_url
    wrong_root = settings.base_url.replace("/api/v2", "/api/v3")
    with pytest.raises(DeribitRejected, match="HTTP 404, .* is DERIBIT_BASE_URL the root"):
        Caller(wrong_root, tmp_path).run(bitcoin)


def test_an_answer_of_another_environment_is_refused(caller: Caller, faults: Faults) -> None:
    faults.corrupt_next(["testnet"])
    with pytest.raises(
        WrongEnvironment, match="testnet=True where False was expected: make DERIBIT_ENV"
    ):
        caller.run(bitcoin)
    with pytest.raises(WrongEnvironment, match="testnet=False where True was expected"):
        caller.run(bitcoin, is_testnet=True)


def test_a_malformed_answer_says_what_was_requested(caller: Caller, faults: Faults) -> None:
    faults.corrupt_next(["ragged"])
    with pytest.raises(DeribitBadPayload, match=r"BTC-PERPETUAL.*: the arrays differ in length"):
        caller.run(
            lambda client: get_tradingview_chart_data(
                client, "BTC-PERPETUAL", Resolution.MINUTE_1, HOUR
            )
        )


def test_the_end_of_a_window_is_left_out(caller: Caller) -> None:
    chart = caller.run(
        lambda client: get_tradingview_chart_data(
            client, "BTC-PERPETUAL", Resolution.MINUTE_1, HOUR
        )
    )
    assert len(chart.candles) == 60


def test_the_other_methods_answer(caller: Caller, clock: Clock) -> None:
    assert caller.run(lambda client: client.test()).http_status == 200
    assert caller.run(lambda client: client.get_time()) == clock.now
    assert caller.run(lambda client: client.status()) is None
    listed = caller.run(lambda client: get_specifications(client, "BTC", kind="future")).value
    assert "BTC-PERPETUAL" in {each.instrument_name for each in listed.specifications}


def test_no_more_requests_are_in_flight_than_allowed(tmp_path: Path) -> None:
    in_flight, most = 0, 0

    async def answered(request: httpx.Request) -> httpx.Response:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        in_flight -= 1
        times = {"usIn": 1_704_067_200_000_000, "usOut": 1_704_067_200_000_001}
        body = {"id": json.loads(request.content)["id"], "result": {}, "testnet": False} | times
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(body).encode()))

    async def forty() -> None:
        transport = httpx.MockTransport(answered)
        async with httpx.AsyncClient(base_url="http://sandbox", transport=transport) as http:
            pool = RateLimiter(FileBucket(tmp_path / "credits"), per_second=1e6, burst=100)
            rpc = Rpc(http, is_testnet=False, concurrency=4, pools={"": pool})
            await asyncio.gather(*(rpc.call("public/test") for _ in range(40)))

    asyncio.run(forty())
    assert most == 4


def test_credentials_open_private_reads(caller: Caller) -> None:
    summary = caller.run(lambda client: client.get_account_summary("BTC"), credentials=RIGHT)
    assert summary.result["currency"] == "BTC"


def test_one_token_serves_all_requests_in_flight(caller: Caller, sandbox: SandboxExchange) -> None:
    async def several(client: DeribitClient) -> None:
        await asyncio.gather(*(client.get_account_summary("BTC") for _ in range(20)))

    caller.run(several, credentials=RIGHT)
    assert sandbox.requests["public/auth"] == 1


def test_a_token_that_the_exchange_no_longer_takes_is_renewed_once(
    caller: Caller, sandbox: SandboxExchange, clock: Clock
) -> None:
    async def forgotten(client: DeribitClient) -> None:
        await client.get_account_summary("BTC")
        clock.forward(timedelta(seconds=TOKEN_LIFE + 1))
        await client.get_account_summary("BTC")

    caller.run(forgotten, credentials=RIGHT)
    assert sandbox.requests["public/auth"] == 2


def test_a_token_is_renewed_before_it_runs_out() -> None:
    now, granted = [0.0], []

    async def authenticate() -> Token:
        granted.append(now[0])
        return Token(f"token {len(granted)}", TOKEN_LIFE)

    async def over_time() -> None:
        keeper = TokenKeeper(authenticate, clock=lambda: now[0])
        for now[0] in (0.0, 719.0, 721.0, 1_440.0, 1_442.0):
            await keeper.token()

    asyncio.run(over_time())
    assert granted == [0.0, 721.0, 1_442.0]


def test_wrong_credentials_say_what_to_do_and_no_secret(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(
        DeribitRejected, match="invalid_credentials .*check DERIBIT_CLIENT_ID"
    ) as caught:
        caller.run(bitcoin, credentials=WRONG)
    seen = caplog.text + str(caught.value) + repr(caught.value.params) + repr(WRONG)
    assert WRONG.client_secret not in seen


def test_a_private_read_without_credentials_is_refused(caller: Caller) -> None:
    with pytest.raises(DeribitRejected, match=r"unauthorized \(13009\): invalid_token"):
        caller.run(lambda client: client.get_account_summary("BTC"))
