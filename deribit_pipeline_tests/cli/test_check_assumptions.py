"""`check --assumptions` as a user runs it: the table, the file for a bug report, the exit code."""

import io
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from deribit_pipeline.assumptions import findings as reporting
from deribit_pipeline.assumptions.assumption import Finding, Verdict
from deribit_pipeline.assumptions.every_assumption import ASSUMPTIONS
from deribit_pipeline.cli.assumptions_report import print_findings
from deribit_pipeline.sandbox.exchange import CLIENT_ID, CLIENT_SECRET, SandboxExchange
from deribit_pipeline.sandbox.faults import Faults
from deribit_pipeline.settings import Settings
from deribit_pipeline.version import __version__
from deribit_pipeline_tests.helpers.command_line import Command, commands
from deribit_pipeline_tests.helpers.processes import environment

ASSUMED = ("check", "--assumptions")


@pytest.fixture
def command(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command line in an empty folder, with an account, against the sandbox."""
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    account = {"DERIBIT_CLIENT_ID": CLIENT_ID, "DERIBIT_CLIENT_SECRET": CLIENT_SECRET}
    for name, value in (environment(settings) | account).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return commands(capsys)


def test_what_holds_is_shown_and_written_for_a_bug_report(
    command: Command, settings: Settings, sandbox: SandboxExchange
) -> None:
    code, out, err = command(*ASSUMED, "--json", "report.json")
    assert code == 0
    for one in ASSUMPTIONS:
        assert one.id in out
    assert not any(line.startswith("differs") for line in out.splitlines())
    assert f"{len(ASSUMPTIONS)} assumptions: " in err
    assert "0 differ" in err
    written = json.loads(Path("report.json").read_text())
    assert [one["id"] for one in written["assumptions"]] == [one.id for one in ASSUMPTIONS]
    assert written["counts"]["differs"] == 0
    assert written["environment"] == "sandbox"
    assert written["source"] == settings.base_url
    assert written["versions"]["deribit-pipeline"] == __version__
    assert datetime.fromisoformat(written["made_at"]).utcoffset() is not None
    requested = {one["method"].removeprefix("POST ") for one in written["requests"]}
    assert requested == set(sandbox.requests)
    assert list(Path().iterdir()) == [Path("report.json")]


def test_neither_the_file_nor_the_table_has_a_secret(
    command: Command, sandbox: SandboxExchange
) -> None:
    _, out, err = command(*ASSUMED, "--json", "report.json")
    for text in (out, err, Path("report.json").read_text()):
        assert CLIENT_SECRET not in text
        assert "client_id" not in text
    assert sandbox.requests["public/auth"] == 0


def test_what_differs_is_shown_with_both_values_and_what_follows(
    command: Command, sandbox: SandboxExchange
) -> None:
    sandbox.charts.anchor = 8 * 3_600_000
    code, out, err = command(*ASSUMED, "--json", "report.json")
    assert code == 1
    assert "report it" in err
    last = out[out.index("differs") :]
    assert "candles-anchor-720" in last
    words = " ".join(last.replace("candles-anchor-720", "").split())
    assert "Assumed: 00:00. Found: 08:00. What follows: The candles are stored right" in words
    written = json.loads(Path("report.json").read_text())
    [found] = [one for one in written["assumptions"] if one["id"] == "candles-anchor-720"]
    assert (found["verdict"], found["assumed"], found["found"]) == ("differs", "00:00", "08:00")


def test_an_exchange_out_of_reach_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_PATIENCE", 0.0)
    monkeypatch.setenv("DERIBIT_BASE_URL", "http://127.0.0.1:9/api/v2")
    code, out, err = command(*ASSUMED, "--json", "report.json")
    assert (code, out) == (1, "")
    assert "Error: public/get_time" in err
    assert "cannot be reached" in err
    assert not Path("report.json").exists()


def test_what_an_exchange_no_longer_responds_to_could_not_be_tested(
    command: Command, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_PATIENCE", 0.0)
    faults.corrupt_where("503_html", lambda method, _: method == "public/get_volatility_index_data")
    code, _, _ = command(*ASSUMED, "--json", "report.json")
    assert code == 1
    written = json.loads(Path("report.json").read_text())
    verdicts = {one["id"]: (one["verdict"], one["reason"]) for one in written["assumptions"]}
    assert written["counts"]["differs"] == 0
    assert verdicts["candles-most"][0] == "holds"
    verdict, reason = verdicts["dvol-most"]
    assert verdict == "could not be tested"
    assert "HTTP 503" in reason
    # After two requests in a row without a response no more are made.
    assert verdicts["trades-kept"] == (verdict, "the main host does not respond")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("check", "--json", "report.json"), "add that option"),
        ((*ASSUMED, "--json", "nowhere/report.json"), "is not a folder"),
        ((*ASSUMED, "--json", "."), "is not a regular file"),
        ((*ASSUMED, "--json", "/dev/null"), "is not a regular file"),
        ((*ASSUMED, "--json", "notes.txt"), "is not such a report"),
        ((*ASSUMED, "--json"), "requires an argument"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_any_request(
    command: Command, sandbox: SandboxExchange, arguments: tuple[str, ...], output: str
) -> None:
    Path("notes.txt").write_text("mine")
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert output in err
    assert not sandbox.requests
    assert Path("notes.txt").read_text() == "mine"


def test_a_former_report_is_replaced(command: Command) -> None:
    assert command(*ASSUMED, "--json", "report.json")[0] == 0
    former = Path("report.json").stat().st_ino
    assert command(*ASSUMED, "--json", "report.json")[0] == 0
    assert Path("report.json").stat().st_ino != former


def findings(text: Callable[[str], str]) -> list[Finding]:
    """One of each verdict for every assumption, with values of any length."""
    return [
        Finding(one, verdict, text("assumed"), text("found"), text("reason"))
        for one in ASSUMPTIONS
        for verdict in Verdict
    ]


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("length", [1, 40])
def test_the_table_is_readable_at_any_width(width: int, length: int) -> None:
    made = findings(lambda what: " ".join([f"[{what}]"] * length))
    out = io.StringIO()
    print_findings(Console(file=out, width=width, force_terminal=False), made)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for one in ASSUMPTIONS:  # each once a verdict, on a line of its own, unbroken
        assert sum(one.id in line.split() for line in lines) >= len(Verdict)
    text = " ".join(out.getvalue().split())
    for verdict in Verdict:
        assert all(word in text for word in verdict.split())
    assert "…" not in text
    assert text.count("[found]") == len(ASSUMPTIONS) * 2 * length
    assert text.count("[assumed]") == len(ASSUMPTIONS) * length
    assert text.count("[reason]") == len(ASSUMPTIONS) * length
    if width == 160:
        assert len(lines) < len(made) * (8 if length == 1 else 20)
