"""The secret and the tokens are never visible, whatever fails and whoever observes the process."""

import base64
import importlib.resources
import logging
import os
import sqlite3
import subprocess
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.auth import Credentials, Token
from deribit_pipeline.exchange.rpc import AUTH
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, Refusal, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.processes import DAGSTER, environment
from deribit_pipeline_tests.helpers.secrets_search import Search

CHART = "public/get_tradingview_chart_data"
WRONG_SECRET = "wr0ng-half-of-a-key"
KEPT_TOKEN = "t0ken-that-is-odd"
DAYS = ("--instruments", "BTC-PERPETUAL", "--start", "2024-01-01", "--end", "2024-01-02")

# The console script, with every logger of the process at DEBUG on stderr.
LOUD = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
{first}
from deribit_pipeline.cli.main import exit_code
sys.exit(exit_code(sys.argv[1:]))
"""
CRASH = """
from deribit_pipeline.datasets.candles import fetch
async def pages(self, request):
    raise RuntimeError(f"{vars(self._client.rpc)}, {self._client.rpc._http.headers}")
fetch.ChartFetcher.pages = pages
"""


class Onlooker:
    """Runs the program with credentials, and searches for them in everything that it leaves."""

    def __init__(self, settings: Settings, sandbox: SandboxExchange) -> None:
        self._settings, self._sandbox = settings, sandbox
        self.folder = settings.dagster_home.parent
        self.seen = ""
        settings.dagster_home.mkdir()
        template = importlib.resources.files("deribit_pipeline") / "dagster.yaml"
        loud = template.read_text().replace("INFO", "DEBUG")
        loud = loud.replace("[deribit_pipeline]", "[deribit_pipeline, httpx, httpcore]")
        (settings.dagster_home / "dagster.yaml").write_text(loud)

    @property
    def search(self) -> Search:
        tokens = {*self._sandbox._tokens, *self._sandbox._refresh_tokens}
        return Search({CLIENT_SECRET, WRONG_SECRET, KEPT_TOKEN, *tokens})

    def run(self, *arguments: str, first: str = "", **changed: str) -> int:
        """The exit code of a command line; while it runs, no process shows a secret."""
        return self._run([sys.executable, "-c", LOUD.format(first=first), *arguments], changed)

    def materialize(self, **changed: str) -> int:
        key = ("--select", "candles_1h", "--partition", "BTC-PERPETUAL|2024-01-03")
        module = ("-m", "deribit_pipeline.definitions")
        return self._run([str(DAGSTER), "asset", "materialize", *module, *key], changed)

    def _run(self, command: list[str], changed: dict[str, str]) -> int:
        key = {"DERIBIT_CLIENT_ID": CLIENT_ID, "DERIBIT_CLIENT_SECRET": CLIENT_SECRET}
        env = {"PATH": os.environ["PATH"], **environment(self._settings), **key, **changed}
        streams = [(self.folder / f"std{name}").open("w+") for name in ("out", "err")]
        process = subprocess.Popen(
            command, env=env, cwd=self.folder, stdout=streams[0], stderr=streams[1]
        )
        while process.poll() is None:
            assert self.search.processes() == []
            time.sleep(0.2)
        for stream in streams:
            stream.seek(0)
            self.seen += stream.read()
            stream.close()
        return process.returncode

    def finds_nothing(self) -> None:
        """The streams of every command, and all files and databases, hold no secret."""
        assert self.seen
        assert not self.search.is_in(self.seen)
        assert self.search.places(self.folder) == []


@pytest.fixture
def onlooker(settings: Settings, sandbox: SandboxExchange) -> Onlooker:
    return Onlooker(settings, sandbox)


def refused_in_the_middle(sandbox: SandboxExchange, faults: Faults) -> None:
    returned, requested = sandbox._methods[CHART], []

    def refusing(params: Any) -> Any:
        requested.append(params)
        if len(requested) == 1:
            raise Refusal(13009, "unauthorized", reason="invalid_token")
        return returned(params)

    sandbox._methods[CHART] = refusing


def refused_for_good(sandbox: SandboxExchange, faults: Faults) -> None:
    faults.corrupt_where("503_html", lambda method, reply: method == AUTH)


def odd_grant(sandbox: SandboxExchange, faults: Faults) -> None:
    sandbox.replay(AUTH, {"access_token": f"{KEPT_TOKEN}\n", "expires_in": KEPT_TOKEN})


def nothing(sandbox: SandboxExchange, faults: Faults) -> None:
    """No fault."""


Wrong = Callable[[SandboxExchange, Faults], None]


@pytest.mark.processes
def test_a_check_at_the_loudest_shows_no_secret(onlooker: Onlooker) -> None:
    assert onlooker.run("check", DERIBIT_CLIENT_SECRET=WRONG_SECRET) == 1
    assert "HTTP Request: POST http://127.0.0.1" in onlooker.seen
    assert "invalid_credentials" in onlooker.seen
    onlooker.finds_nothing()


@pytest.mark.torture
@pytest.mark.parametrize(
    ("wrong", "codes", "changed"),
    [
        (nothing, (0, 0), {}),
        (nothing, (2, 1), {"DERIBIT_CLIENT_SECRET": WRONG_SECRET}),
        (refused_in_the_middle, (0, 0), {}),
        (refused_for_good, (1, 1), {}),
        (odd_grant, (1, 1), {}),
        (nothing, (1, 1), {"DERIBIT_BASE_URL": "http://127.0.0.1:9/api/v2"}),
        (nothing, (1, 1), {"DERIBIT_BASE_URL": "http://127.0.0.1:{port}/api/v3"}),
    ],
    ids=["right", "wrong_secret", "13009", "503", "odd_grant", "outage", "wrong_url"],
)
def test_whatever_goes_wrong_shows_no_secret(
    onlooker: Onlooker,
    settings: Settings,
    sandbox: SandboxExchange,
    faults: Faults,
    wrong: Wrong,
    codes: tuple[int, int],
    changed: dict[str, str],
) -> None:
    wrong(sandbox, faults)
    port = str(settings.base_url).split(":")[2].split("/")[0]
    changed = {name: value.format(port=port) for name, value in changed.items()}
    made = onlooker.run("backfill", *DAYS, **changed), onlooker.materialize(**changed)
    assert made == codes
    onlooker.run("check", **changed)
    onlooker.run("repair", **changed)
    # Days that were requested and could not be proved are reported by `verify`, too.
    assert onlooker.run("verify", **changed) == (0 if codes == (0, 0) else 1)
    # With a key that is refused nothing was requested, and there is no warehouse to show.
    assert onlooker.run("coverage", **changed) == (1 if 2 in codes else 0)
    assert sandbox._tokens or codes != (0, 0)
    assert "HTTP Request: POST" in onlooker.seen or "connect_tcp.failed" in onlooker.seen
    onlooker.finds_nothing()


@pytest.mark.torture
def test_a_crash_within_a_run_shows_no_secret(
    onlooker: Onlooker, settings: Settings, sandbox: SandboxExchange
) -> None:
    assert onlooker.run("backfill", *DAYS, first=CRASH) != 0
    assert Search({"RuntimeError", "unhandled errors"}).places(settings.dagster_home)
    assert sandbox._tokens
    onlooker.finds_nothing()


def chain(error: BaseException | None) -> list[BaseException]:
    """The error and everything behind it, suppressed or not."""
    if error is None:
        return []
    return [error, *chain(error.__cause__), *chain(error.__context__)]


@pytest.mark.parametrize("wrong", [nothing, refused_in_the_middle, refused_for_good, odd_grant])
@pytest.mark.parametrize("secret", [CLIENT_SECRET, WRONG_SECRET])
def test_no_repr_error_or_log_shows_a_secret(
    onlooker: Onlooker, settings: Settings, sandbox: SandboxExchange, faults: Faults,
    caplog: pytest.LogCaptureFixture, wrong: Wrong, secret: str,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    wrong(sandbox, faults)
    settings = replace(settings, client_id=CLIENT_ID, client_secret=secret)
    seen: list[object] = [settings]
    with open_exchange(settings, 0.1) as exchange:
        try:
            exchange.run(exchange.client.get_account_summary("BTC"))
        except DeribitError as error:
            for link in chain(error):
                seen += [link, link.args, vars(link), *traceback.format_exception(link)]
        client = exchange.client
        seen += [exchange, client, client.rpc, client.rpc._http, vars(client.rpc), vars(exchange)]
        seen += [vars(client.rpc._tokens), client.rpc._http.headers, client.rpc._http.base_url]
    assert not onlooker.search.is_in(caplog.text)
    assert [each for each in seen if onlooker.search.is_in(f"{each!r}{each}")] == []


def test_the_values_that_hold_a_secret_do_not_show_it() -> None:
    search = Search({CLIENT_SECRET, KEPT_TOKEN})
    for value in (Token(KEPT_TOKEN, 900.0), Credentials(CLIENT_ID, CLIENT_SECRET)):
        assert not search.is_in(f"{value} {value!r}")


def test_a_secret_that_is_planted_is_found(tmp_path: Path) -> None:
    search = Search({KEPT_TOKEN})
    assert search.places(tmp_path) == []
    plain, packed = KEPT_TOKEN.encode(), zlib.compress(KEPT_TOKEN.encode())
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + plain + b"tail")
        (tmp_path / f"base64.{shift}").write_bytes(text)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log.jsonl").write_bytes(b'{"message": "' + plain + b'"}')
    for name, body in (("text.db", KEPT_TOKEN), ("packed.db", packed)):
        connection = sqlite3.connect(tmp_path / name)
        with connection:
            connection.execute("create table events (body)")
            connection.execute("insert into events values (?)", (body,))
        connection.close()
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute("create table days as select $1 as run_id", [KEPT_TOKEN])
    found = {Path(place.partition(":")[0]).name for place in search.places(tmp_path)}
    names = {"log.jsonl", "text.db", "packed.db", "warehouse.duckdb"}
    assert found == names | {f"base64.{shift}" for shift in range(3)}


def test_a_secret_in_the_arguments_of_a_process_is_found() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()", KEPT_TOKEN], stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 5
        while not Search({KEPT_TOKEN}).processes():
            assert time.monotonic() < deadline
    finally:
        process.communicate(b"\n")
