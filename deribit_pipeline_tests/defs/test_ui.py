"""`deribit-pipeline ui` starts every process, refuses changes by other web pages, and stops
every process."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import dagster as dg
import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from deribit_pipeline.defs.runs import recording
from deribit_pipeline.home import prepare_home
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.dagster_ui import until
from deribit_pipeline_tests.helpers.processes import SCRIPT, environment, script
from deribit_pipeline_tests.helpers.ui_process import Ui, running_ui
from deribit_pipeline_tests.test_loopback import THIS_MACHINE, listening

pytestmark = pytest.mark.processes

ASSET, SCHEDULE, PROXY = "candles_1h", "funding_rates_daily", "dagster.corp"
EVIL, PROTOCOL = "http://evil.example", Subprotocol("graphql-ws")

_STATE = """{
  runsOrError { ... on Runs { results { id status } } }
  scheduleOrError(scheduleSelector: %s) { ... on Schedule { scheduleState { status } } }
  assetNodeOrError(assetKey: {path: ["candles_1h"]}) {
    ... on AssetNode { partitionStats { numMaterialized } }
  }
}"""
_SELECTOR = (
    '{repositoryLocationName: "deribit_pipeline.definitions", '
    f'repositoryName: "__repository__", scheduleName: "{SCHEDULE}"}}'
)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "DERIBIT_ENV": "sandbox",
        "DERIBIT_UI_HOSTS": PROXY,
        "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        "PATH": os.environ["PATH"],
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Path:
    """A folder whose `.env` sets mainnet, while the environment sets sandbox; a run has
    materialized a day."""
    folder = tmp_path_factory.mktemp("home")
    (folder / ".env").write_text("DERIBIT_ENV=mainnet\n")
    day = ("--start", "2024-01-01", "--end", "2024-01-01", "--resolution", "60")
    output = script("backfill", "--instruments", "BTC-PERPETUAL", *day, env=env, cwd=folder)
    assert output.returncode == 0, output.stderr
    assert f"Creating the warehouse {folder}/data/sandbox.duckdb;" in output.stderr
    return folder


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str], home: Path) -> Iterator[Ui]:
    """The UI of this home, started in another folder."""
    with running_ui(tmp_path_factory.mktemp("ui"), env | {"DERIBIT_HOME": str(home)}) as running:
        yield running


def state(ui: Ui) -> Any:
    """Changes that an attacker could try."""
    return ui.dagster.query(_STATE % _SELECTOR)


def mutations(ui: Ui) -> list[str]:
    """Deletes the run, wipes the asset, starts the schedule."""
    [run] = state(ui)["runsOrError"]["results"]
    return [
        f'mutation {{ deleteRun(runId: "{run["id"]}") {{ __typename }} }}',
        'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["candles_1h"]}}]) '
        "{ __typename } }",
        f"mutation {{ startSchedule(scheduleSelector: {_SELECTOR}) {{ __typename }} }}",
    ]


def send(ui: Ui, method: str, path: str, headers: Mapping[str, str], body: str = "") -> int:
    request = httpx.Request(method, f"{ui.dagster.url}{path}", headers=headers, content=body)
    with httpx.Client(timeout=60) as client:
        return client.send(request).status_code


JSON = {"Content-Type": "application/json"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

BY_URL = {
    "a link": ("GET", {}),
    "an image": ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}),
    "a navigation": ("GET", {"Sec-Fetch-Site": "cross-site", **NAVIGATION}),
    "the UI itself": ("GET", {"Sec-Fetch-Site": "same-origin"}),
    "HEAD": ("HEAD", {}),
    "a form": ("POST", {"Content-Type": "application/x-www-form-urlencoded"}),
    "plain text": ("POST", {"Content-Type": "text/plain"}),
    "no body": ("POST", {}),
}
BY_BODY = {
    "another page": {"Origin": EVIL},
    "no page": {"Origin": "null"},
    "another port": {"Origin": "http://127.0.0.1:8888"},
    "another port of localhost": {"Origin": "http://localhost:1"},
    "a name that begins alike": {"Origin": "http://127.0.0.1.evil.example:{port}"},
    "a user that is alike": {"Origin": "http://127.0.0.1:{port}@evil.example"},
    "a page below the proxy's name": {"Origin": f"https://{PROXY}.evil.example"},
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "a navigation": {"Sec-Fetch-Site": "cross-site", **NAVIGATION},
    "the same site": {"Sec-Fetch-Site": "same-site"},
    "a host that was pointed here": {"Host": "evil.example:{port}"},
    "and its own page": {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
    "another address": {"Host": "192.0.2.1:{port}"},
    "a host with a user": {"Host": "127.0.0.1@evil.example"},
    "no host": {"Host": ""},
    "text that is JSON": {"Content-Type": "text/plain; charset=application/json"},
}


def send_by_url(ui: Ui, how: str, mutation: str) -> None:
    method, headers = BY_URL[how]
    batch = f"query Q {{ __typename }} {mutation.replace('mutation', 'mutation M', 1)}"
    for query in (
        {"query": mutation},
        {"query": batch, "operationName": "M"},
        [("query", "{ __typename }"), ("query", mutation)],
        {"query": f"# a comment\n  {mutation}"},
    ):
        status = send(ui, method, f"/graphql?{urlencode(query)}", headers)
        assert status in (403, 405, 415), (how, query)


def send_by_body(ui: Ui, how: str, mutation: str) -> None:
    headers = JSON | {name: each.format(port=ui.port) for name, each in BY_BODY[how].items()}
    body = json.dumps({"query": mutation})
    assert send(ui, "POST", "/graphql", headers, body) in (403, 415), how
    assert send(ui, "POST", "/graphql", headers, f"[{body}]") in (403, 500), how
    if how != "text that is JSON":
        report = f"/report_asset_materialization/{ASSET}?partition=BTC-PERPETUAL|2024-01-02"
        assert send(ui, "POST", report, headers) == 403, how


def send_by_web_socket(ui: Ui, mutation: str) -> None:
    url, own = f"ws://127.0.0.1:{ui.port}/graphql", f"http://127.0.0.1:{ui.port}"
    for headers in (
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{ui.port}"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"},
    ):
        with pytest.raises(InvalidStatus, match="403"):
            connect(url, subprotocols=[PROTOCOL], additional_headers=headers)
    with connect(url, subprotocols=[PROTOCOL], origin=Origin(own)) as web_socket:
        web_socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(web_socket.recv(60)) == {"type": "connection_ack"}
        web_socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": mutation}}))
        assert json.loads(web_socket.recv(60))["type"] == "error"


def test_from_any_folder_it_shows_the_runs_of_its_home_and_says_which_that_is(
    ui: Ui, home: Path
) -> None:
    assert len(state(ui)["runsOrError"]["results"]) == 1
    assert f"DAGSTER_HOME is {home}/dagster_home; the warehouse is {home}/data/" in ui.output
    assert [path.name for path in ui.folder.iterdir()] == ["ui.log"]


def test_mutations_from_elsewhere_change_nothing_and_those_of_the_ui_do(ui: Ui) -> None:
    before, dangerous = state(ui), mutations(ui)
    assert before["scheduleOrError"]["scheduleState"]["status"] == "STOPPED"
    for mutation in dangerous:
        for how in BY_URL:
            send_by_url(ui, how, mutation)
        for how in BY_BODY:
            send_by_body(ui, how, mutation)
        send_by_web_socket(ui, mutation)
    assert state(ui) == before
    apollo = JSON | {"Origin": ui.dagster.url, "Sec-Fetch-Site": "same-origin"}
    for mutation in reversed(dangerous):
        assert send(ui, "POST", "/graphql", apollo, json.dumps({"query": mutation})) == 200
    after = state(ui)
    assert after["runsOrError"]["results"] == []
    assert after["scheduleOrError"]["scheduleState"]["status"] == "RUNNING"
    assert after["assetNodeOrError"]["partitionStats"]["numMaterialized"] == 0


def test_what_the_ui_and_its_users_send_passes(ui: Ui) -> None:
    own = f"http://127.0.0.1:{ui.port}"
    page = {"Sec-Fetch-Site": "none", **NAVIGATION}
    from_elsewhere = page | {"Sec-Fetch-Site": "cross-site"}
    apollo = JSON | {"Origin": own, "Sec-Fetch-Site": "same-origin"}
    proxied = JSON | {"Origin": f"https://{PROXY}", "Sec-Fetch-Site": "same-origin"}
    query = json.dumps({"query": "{ __typename }"})
    in_url = f"/graphql?{urlencode({'query': '{ __typename }'})}"
    for method, path, headers, body in (
        ("GET", "/", page, ""),
        ("GET", f"/assets/{ASSET}", from_elsewhere, ""),
        ("GET", "/favicon.png", {"Sec-Fetch-Site": "same-origin"}, ""),
        ("GET", "/server_info", {}, ""),
        ("GET", in_url, {}, ""),
        ("GET", "/graphql", {"Accept": "text/html"}, ""),
        ("POST", "/graphql", apollo, query),
        ("POST", "/graphql", JSON, query),
        ("POST", "/graphql", JSON | {"Host": f"localhost:{ui.port}"}, query),
        ("POST", "/graphql", JSON | {"Host": "LOCALHOST."}, query),
        ("POST", "/graphql", JSON | {"Host": "[::1]:1"}, query),
        ("POST", "/graphql", proxied, query),
        ("POST", "/graphql", proxied | {"Host": PROXY}, query),
    ):
        assert send(ui, method, path, headers, body) == 200, (method, path, headers)


def test_the_ui_listens_to_this_machine_only(ui: Ui) -> None:
    found = listening(ui.members())
    assert ui.port in {port for _, port in found}
    assert {host for host, _ in found} == {THIS_MACHINE}


def test_no_other_page_may_frame_the_ui(ui: Ui) -> None:
    assert httpx.get(ui.dagster.url).headers["X-Frame-Options"] == "SAMEORIGIN"


def test_the_environment_goes_before_the_file_of_the_folder(ui: Ui) -> None:
    members = [(Path("/proc") / str(pid) / "environ").read_bytes() for pid in ui.members()]
    assert all(b"DERIBIT_ENV=sandbox" in each for each in members)


_RELOAD = """
mutation {
  reloadRepositoryLocation(repositoryLocationName: "deribit_pipeline.definitions") {
    __typename
    ... on WorkspaceLocationEntry {
      locationOrLoadError { __typename ... on PythonError { cause { message } } }
    }
  }
}
"""


def test_a_wrong_setting_is_one_sentence_of_the_code_location_until_it_is_mended(
    ui: Ui, home: Path
) -> None:
    def reloaded() -> Any:
        return ui.dagster.query(_RELOAD)["reloadRepositoryLocation"]["locationOrLoadError"]

    dotenv = home / ".env"
    former = dotenv.read_bytes()
    try:
        for content, sentence in (
            (b"DERIBIT_INSTRUMENT=X\n", "is no setting: did you mean DERIBIT_INSTRUMENTS?"),
            (b"DERIBIT_ENV testnet\n", "Line 1 of .env is not written as NAME=value."),
            (b"DERIBIT_BURST=1 # \xe9\n", ".env is not UTF-8 text (line 1): save it as UTF-8."),
        ):
            dotenv.write_bytes(content)
            found = reloaded()
            assert found["__typename"] == "PythonError"
            [line] = found["cause"]["message"].strip().splitlines()
            assert line.startswith("deribit_pipeline.errors.SettingsError: ")
            assert sentence in line
    finally:
        dotenv.write_bytes(former)
    assert reloaded()["__typename"] == "RepositoryLocation"


def assert_a_signal_ends_it(running: Ui, name: str, code: int) -> None:
    assert len(running.members()) >= 5
    before = len(running.output)
    running.process.send_signal(signal.Signals[name])
    assert running.process.wait(30) == code
    running.until_gone()
    assert "Traceback" not in running.output[before:]
    assert running.output.splitlines()[-1].startswith(f"Error: Interrupted by {name}")
    socket.create_server(("127.0.0.1", running.port)).close()


@pytest.mark.torture
def test_sigint_ends_all_its_processes_too(tmp_path: Path, env: dict[str, str]) -> None:
    with running_ui(tmp_path, env) as running:
        assert_a_signal_ends_it(running, "SIGINT", 130)


@pytest.mark.torture
def test_its_processes_end_where_it_is_killed(tmp_path: Path, env: dict[str, str]) -> None:
    with running_ui(tmp_path, env) as running:
        running.process.kill()
        assert running.process.wait() == -signal.SIGKILL
        running.until_gone()


@pytest.mark.torture
def test_a_process_of_it_that_ends_ends_all_and_is_named(
    tmp_path: Path, env: dict[str, str]
) -> None:
    with running_ui(tmp_path, env) as running:
        [daemon] = [
            pid
            for pid in running.members()
            if b"dagster._daemon\0run" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(daemon, signal.SIGKILL)
        assert running.process.wait(30) == 1
        running.until_gone()
        assert "Error: Dagster's daemon ended by itself with exit code -9" in running.output


@pytest.mark.torture
def test_runs_of_a_ui_that_was_killed_have_failed_at_the_next_start(
    settings: Settings, sandbox: SandboxExchange, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults.corrupt_where("stall", lambda method, reply: "chart" in method)
    folder = settings.dagster_home.parent
    env = environment(settings) | {"PATH": os.environ["PATH"]}
    with running_ui(folder, env) as running:
        running.dagster.launch("candles_1h", ["BTC-PERPETUAL|2024-01-01"])
        chart = "public/get_tradingview_chart_data"
        until(lambda: sandbox.requests[chart] or None, "a request of the run", 0.1)
        running.kill_all()
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    home = prepare_home(settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        [run] = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED
    with recording(home) as instance:
        run = instance.get_run_by_id(run.run_id)  # type: ignore[assignment]
        assert run.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--host", "example.com"), "--host must be an address of this machine"),
        (("--host", "192.0.2.1"), "--host 192.0.2.1 --port 3000 cannot be used"),
        (("--port", "{taken}"), "cannot be used (Address already in use): choose another port"),
        (("--port", "65536"), "less than or equal to 65535"),
    ],
)
def test_what_cannot_be_listened_at_is_one_sentence(
    tmp_path: Path, env: dict[str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        given = [argument.format(taken=taken) for argument in arguments]
        output = script("ui", *given, env=env, cwd=tmp_path)
    assert (output.returncode, output.stderr.count("\n")) == (2, 1), output.stderr
    assert sentence in output.stderr


@pytest.mark.parametrize("hosts", ["https://x", "x:3000", "user:s3cret@x", "*", "a b"])
def test_a_host_that_is_none_is_one_sentence(
    tmp_path: Path, env: dict[str, str], hosts: str
) -> None:
    output = subprocess.run(
        [str(SCRIPT), "ui"], env=env | {"DERIBIT_UI_HOSTS": hosts}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (output.returncode, output.stderr.count("\n")) == (2, 1), output.stderr
    assert "DERIBIT_UI_HOSTS must be names of hosts" in output.stderr


# The last test, because it ends the UI of all tests above.
def test_a_signal_ends_all_its_processes_and_the_port_is_free(ui: Ui) -> None:
    assert_a_signal_ends_it(ui, "SIGTERM", 143)
