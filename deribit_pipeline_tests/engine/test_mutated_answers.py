"""Any response body is parsed exactly, or raises an expected type of error."""

import asyncio
import itertools
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from deribit_pipeline.datasets.candles import wire as parse
from deribit_pipeline.datasets.candles.calls import Chart, get_tradingview_chart_data
from deribit_pipeline.domain.candles import Candles, Resolution
from deribit_pipeline.domain.instrument import Instrument
from deribit_pipeline.domain.windows import TimeWindow, from_ms
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange import responses, shapes
from deribit_pipeline.exchange.auth import Credentials, Token
from deribit_pipeline.exchange.client import DeribitClient
from deribit_pipeline.exchange.rate_limiter import FileBucket, RateLimiter
from deribit_pipeline.exchange.rpc import AUTH, Answer, Rpc
from deribit_pipeline.instruments.wire import listed
from deribit_pipeline_tests.conftest import recorded
from deribit_pipeline_tests.helpers.mutations import (
    anything,
    corrupted,
    damaged,
    examples,
    hold,
    written,
)

YEAR_3000 = 32_503_680_000_000
TIMES = {"testnet": False, "usIn": 1_704_067_200_000_007, "usOut": 1_704_067_200_000_912}
CHART = {
    name: values if name == "status" else values[:4]
    for name, values in recorded("tradingview_chart").items()
}
INSTRUMENT = recorded("instrument")
GRANT = {"access_token": "t0ken-granted", "expires_in": 900, "scope": "account:read"}
REFUSAL = {"code": -32602, "message": "Invalid params", "data": {"param": "p", "reason": "r"}}
SECRET = "s3cret-half-of-the-key"
STATUSES = (200, 200, 200, 201, 204, 301, 304, 400, 401, 403, 404, 408, 418, 429, 500, 503, 599)


def envelope(result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result, **TIMES}


class Wire:
    """A client with prepared responses, which does not really wait."""

    def __init__(self, loop: asyncio.Runner, folder: Path) -> None:
        self._loop = loop
        self._pool = RateLimiter(FileBucket(folder / "credits"), per_second=1e6, burst=100)
        self._answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        transport = httpx.MockTransport(self._answered)
        self._http = httpx.AsyncClient(base_url="http://exchange/api/v2", transport=transport)

    def _answered(self, request: httpx.Request) -> httpx.Response:
        is_post = request.method == "POST"
        method = json.loads(request.content)["method"] if is_post else request.url.path[8:]
        status, body, headers = self._answers.get(method) or self._answers[""]
        return httpx.Response(status, stream=httpx.ByteStream(body), headers=headers)

    def set(
        self,
        body: bytes,
        status: int = 200,
        method: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._answers[method] = (status, body, headers or {})

    def request(
        self, request: Callable[[DeribitClient], Any], credentials: Credentials | None = None
    ) -> Any:
        """The value, or an expected error; any other exception is raised."""

        async def sleep(seconds: float) -> None:
            assert seconds < 100

        rpc = Rpc(
            self._http, is_testnet=False, concurrency=1, pools={"": self._pool},
            credentials=credentials, patience=0.0, sleep=sleep, ids=itertools.repeat(1),
        )  # fmt: skip
        try:
            return self._loop.run(request(DeribitClient(rpc)))
        except DeribitError as error:
            return error


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with asyncio.Runner() as loop:
        yield Wire(loop, tmp_path)


def reread(body: bytes) -> Any:
    """The JSON of a body, by another parser; integers that need more than 64 bits are doubles."""

    def integer(text: str) -> int | float:
        return int(text) if -(2**63) <= int(text) < 2**64 else float(text)

    return json.loads(body.decode("utf-8"), parse_int=integer)


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


bodies = damaged(
    st.sampled_from(
        (envelope(CHART), envelope({"version": "1"}), {"id": 1, "error": REFUSAL, **TIMES})
    ).flatmap(corrupted)
)
headers = st.sampled_from(
    (
        {},
        {},
        {"content-encoding": "gzip"},
        {"content-type": "text/html; charset=nonsense"},
        {"location": "http://[::/"},
        {"location": "\x00"},
        {"set-cookie": "a=b; expires=never"},
    )
)


@examples(quick=80, tortured=3_000)
def test_any_body_is_an_exact_answer_or_a_typed_error(wire: Wire, count: int) -> None:
    def law(body: bytes, status: int, returned: dict[str, str]) -> None:
        wire.set(body, status, headers=returned)
        answer = wire.request(
            lambda client: client.rpc.call("public/anything", instrument_name="X")
        )
        if isinstance(answer, DeribitError):
            return
        assert isinstance(answer, Answer)
        output = reread(body)
        assert output.get("error") is None
        assert output["testnet"] is False
        assert type(output["usIn"]) is type(output["usOut"]) is int
        assert same(answer.result, output["result"])
        since_1970 = answer.as_of - datetime(1970, 1, 1, tzinfo=UTC)
        assert since_1970 == timedelta(microseconds=output["usIn"])
        assert answer.http_status == status

    hold(law, count, bodies, st.sampled_from(STATUSES), headers)


def test_an_answer_that_is_not_corrupted_is_an_answer(wire: Wire) -> None:
    wire.set(written(envelope(CHART)).encode())
    assert isinstance(wire.request(lambda client: client.rpc.call("public/anything")), Answer)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"usIn": True}, "must be microseconds in this order, were True and"),
        ({"usIn": "now"}, "were str and"),
        ({"testnet": {"a": "b"}}, "has testnet=dict where False was expected"),
        ({"error": {"code": True}}, "`error` had no `code`"),
        ({"error": False}, "`error` had no `code`"),
    ],
)
def test_a_malformed_envelope_is_an_error(
    wire: Wire, change: dict[str, Any], sentence: str
) -> None:
    wire.set(written(envelope(CHART) | change).encode())
    assert sentence in str(wire.request(lambda client: client.rpc.call("public/anything")))


def test_no_error_is_not_yet_a_result(wire: Wire) -> None:
    wire.set(written({"id": 1, "error": None, **TIMES}).encode())
    answer = wire.request(lambda client: client.rpc.call("public/anything"))
    assert "neither `result` nor `error`" in str(answer)


def number_of(value: Any) -> float | None:
    """A value as a double; None unless it is a finite number."""
    if type(value) not in (int, float) or not abs(value) <= 1.7976931348623157e308:
        return None
    return float(value)


def rows_of(chart: Any) -> list[list[float | None]] | None:
    """A chart's rows, read slowly and one by one: tick, then six values, None for each that is no
    number; None where the whole is malformed, as it is where half of a column are no numbers."""
    names = ("ticks", "open", "high", "low", "close", "volume", "cost")
    if type(chart) is not dict or chart.get("status") not in ("ok", "no_data"):
        return None
    if chart["status"] == "no_data":
        return [] if all(chart.get(name) in (None, []) for name in names) else None
    columns = []
    for name in names:
        column = chart.get(name)
        if type(column) is not list:
            return None
        numbers = [number_of(value) for value in column]
        if None in numbers and (name == "ticks" or 2 * numbers.count(None) >= len(numbers)):
            return None
        columns.append(numbers)
    if any(len(column) != len(columns[0]) for column in columns):
        return None
    if any(tick != int(tick) or not 0 <= tick < YEAR_3000 for tick in columns[0]):
        return None
    return [[column[n] for column in columns] for n in range(len(columns[0]))]


def rows_in(candles: Candles) -> list[list[float | None]]:
    ticks = candles.opened_at.astype("int64").tolist()
    return [
        [tick, *(None if math.isnan(value) else value for value in row)]
        for tick, row in zip(ticks, candles.values.tolist(), strict=True)
    ]


def parsed(parser: Callable[[Any], Any], answer: Any) -> Any:
    """The parsed result; None if the parser rejects it as malformed."""
    try:
        return parser(answer)
    except ValueError:
        return None


@examples(quick=120, tortured=5_000)
def test_any_chart_is_read_value_by_value_or_refused(count: int) -> None:
    def law(text: str) -> None:
        chart = json.loads(text)
        candles, expected = parsed(parse.candles, chart), rows_of(chart)
        assert (candles is None) == (expected is None)
        if candles is not None and expected is not None:
            assert rows_in(candles) == expected
            assert candles.values.shape == (len(expected), 6)
            assert not any(math.copysign(1.0, v) < 0 == v for v in candles.values.flat)

    hold(law, count, corrupted(CHART))


HOUR = TimeWindow(from_ms(1_704_067_200_000), from_ms(1_704_070_800_000))


@examples(quick=40, tortured=1_500)
def test_any_chart_over_the_wire_is_read_value_by_value_or_a_typed_error(
    wire: Wire, count: int
) -> None:
    def law(body: bytes) -> None:
        wire.set(body)
        chart = wire.request(
            lambda client: get_tradingview_chart_data(client, "X", Resolution.MINUTE_1, HOUR)
        )
        if isinstance(chart, DeribitError):
            return
        assert isinstance(chart, Chart)
        assert rows_in(chart.candles) == rows_of(reread(body)["result"])

    hold(law, count, damaged(corrupted(envelope(CHART))))


def moment_of(value: Any) -> int | None:
    is_number = type(value) in (int, float) and 0 <= value < 2 * YEAR_3000
    return int(value) if is_number and value == int(value) else None


def instrument_of(fields: Any) -> Instrument | None:
    """An instrument, parsed by a simple reference implementation; None if it is malformed."""
    if type(fields) is not dict:
        return None
    created, expires = (moment_of(fields.get(f"{n}_timestamp")) for n in ("creation", "expiration"))
    name, kind = fields.get("instrument_name"), fields.get("kind")
    if type(name) is not str or type(kind) is not str or not name or not kind:
        return None
    if created is None or expires is None or created >= expires or created >= YEAR_3000:
        return None
    epoch, day = datetime(1970, 1, 1, tzinfo=UTC), 86_400_000

    def at(ms: int) -> datetime:
        return epoch + timedelta(days=ms // day, milliseconds=ms % day)

    return Instrument(name, kind, at(created), None if expires >= YEAR_3000 else at(expires))


# Only fields that are read: otherwise most mutations would hit the other thirty.
READ = {
    name: INSTRUMENT[name]
    for name in ("instrument_name", "kind", "creation_timestamp", "expiration_timestamp")
}


@examples(quick=60, tortured=1_500)
def test_any_instrument_is_read_exactly_or_refused(count: int) -> None:
    def law(text: str) -> None:
        fields = json.loads(text)
        assert parsed(responses.instrument, fields) == instrument_of(fields)

    hold(law, count, corrupted(READ))


@examples(quick=60, tortured=1_500)
def test_any_entry_of_a_list_is_a_specification_or_reported_as_malformed(count: int) -> None:
    def law(text: str) -> None:
        entries = listed([INSTRUMENT, json.loads(text)])
        assert entries.specifications[0] == listed([INSTRUMENT]).specifications[0]
        assert len(entries.specifications) + len(entries.malformed) == 2

    hold(law, count, corrupted(INSTRUMENT))


@examples(quick=40, tortured=1_000)
def test_any_list_time_and_status_is_read_exactly_or_refused(count: int) -> None:
    def law(text: str) -> None:
        value = json.loads(text)
        entries = parsed(listed, value)
        if not isinstance(value, list):
            assert entries is None
        else:
            assert entries is not None
            assert (entries.specifications, len(entries.malformed)) == ((), len(value))
        assert parsed(lambda ms: shapes.milliseconds("time", ms), value) == moment_of(value)
        output = {True: "true", False: "false"}.get(value) if type(value) is bool else value
        output = output.lower() if type(output) is str else None
        # Refused, open, partly locked or locked.
        expected = output if output in ("true", "partial") else None
        assert parsed(responses.locked, {"locked": value}) == expected
        if output not in ("true", "partial", "false"):
            with pytest.raises(ValueError, match="must be true, partial or false"):
                responses.locked({"locked": value})

    hold(law, count, anything.map(written))


@examples(quick=60, tortured=1_500)
def test_any_grant_is_a_token_that_can_be_sent_or_a_typed_error(wire: Wire, count: int) -> None:
    key = Credentials("id", SECRET)
    wire.set(written(envelope({"currency": "BTC"})).encode())

    def law(body: bytes, status: int) -> None:
        wire.set(body, status, AUTH)
        token = wire.request(lambda client: client.auth(), key)
        summary = wire.request(lambda client: client.get_account_summary("BTC"), key)
        assert isinstance(token, Token) == isinstance(summary, Answer)
        if isinstance(token, Token):
            granted = reread(body)["result"]
            assert token.access_token == granted["access_token"]
            assert token.expires_in == granted["expires_in"] > 0
            return
        assert GRANT["access_token"] not in str(token) + str(summary)

    hold(law, count, damaged(corrupted(envelope(GRANT))), st.sampled_from((200, 400, 500)))


def test_what_the_exchange_repeats_of_the_secret_is_not_said(wire: Wire) -> None:
    key = Credentials("id", SECRET)
    wire.set(written(envelope(GRANT)).encode(), method=AUTH)
    echo = {"code": 13009, "message": "bad t0ken-granted", "data": {"reason": f"{SECRET} too"}}
    wire.set(written({"id": 1, "error": echo}).encode(), 400)
    error = wire.request(lambda client: client.get_account_summary("BTC"), key)
    assert "bad … (13009): … too" in str(error)
