"""Each query of the documents returns rows after the commands above it, in New York as in UTC."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.datasets.book_summaries.wire import BY_CURRENCY
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.sandbox.exchange import SandboxExchange
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.documents.test_queries import rounded
from deribit_pipeline_tests.documents.test_tutorial import folder
from deribit_pipeline_tests.helpers.spooled import Recordings

__all__ = ["folder"]  # a fixture

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("docs/queries.md", "docs/volatility.md", "README.md")
# An instant that becomes a day, an hour or a month as the session's time zone has it.
OF_THE_SESSION = re.compile(
    r"\w+_at\s*::\s*(date|timestamp)\b|cast\(\s*[\w.]*_at as (date|timestamp)\)"
    r"|\b(hour|day|month|year|minute|dayofweek|isodow|dayname|strftime|last_day)\(\s*[\w.]*_at\b\s*[,)]"
    r"|\b(date_trunc|date_part|datepart)\('\w+',\s*[\w.]*_at\s*\)|extract\(\w+ from [\w.]*_at\s*\)"
    r"|\bcurrent_date\b|\btoday\(\)",
    re.IGNORECASE,
)


def sections(name: str) -> dict[str, tuple[list[str], list[str]]]:
    """The commands and the queries of a document, by the heading above them."""
    parts = re.split(r"^#+ ", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    return {
        f"{name}: {part.partition(chr(10))[0]}": (
            "".join(re.findall(r"```sh\n(.*?)```", part, re.DOTALL)).splitlines(),
            [
                query
                for block in re.findall(r"```sql\n(.*?)```", part, re.DOTALL)
                for query in block.split(";")
                if query.strip()
            ],
        )
        for part in parts
    }


WITH_OPTIONS = datetime(2026, 11, 10, 12, tzinfo=UTC)

SECTIONS = {heading: parts for name in DOCUMENTS for heading, parts in sections(name).items()}


def with_days(line: str, clock: Clock) -> str:
    """The command, with days instead of words: the sandbox's clock is not this machine's."""
    today = clock.now.date()
    line = line.replace("yesterday", str(today - timedelta(1))).replace("today", str(today))
    return re.sub(r"(?<= )-(\d+)d\b", lambda days: str(today - timedelta(int(days[1]))), line)


def record_a_quarter_of_an_hour(sandbox: SandboxExchange, clock: Clock) -> None:
    """The sandbox's summaries of BTC in three slots, as a recorder writes them, on a day
    on which it lists options."""
    clock.now = WITH_OPTIONS
    spool = spool_of(Settings.load())
    with spool.recording():
        recordings = Recordings(spool, sandbox, "BTC")
        for _ in range(3):
            slot = clock.now.replace(minute=clock.now.minute // 5 * 5, second=0, microsecond=0)
            clock.forward(timedelta(seconds=3))
            answer = sandbox.answer(BY_CURRENCY, {"currency": "BTC"})
            recordings.snapshot(slot, answer.body["result"])
            clock.forward(timedelta(minutes=5))
        recordings.close()


def test_after_its_commands_each_query_returns_rows_the_same_in_any_time_zone(
    folder: Path,
    clock: Clock,
    sandbox: SandboxExchange,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DERIBIT_ENV", "sandbox")
    headings = {heading: parts for heading, parts in SECTIONS.items() if "README" not in heading}
    for line in dict.fromkeys(line for lines, _ in headings.values() for line in lines):
        program, *arguments = shlex.split(with_days(line, clock))
        assert program == "deribit-pipeline"
        if arguments[0] == "record":
            record_a_quarter_of_an_hour(sandbox, clock)
            continue
        assert exit_code(arguments) == 0, (line, capsys.readouterr().err)
    with duckdb.connect("data/sandbox.duckdb", read_only=True) as connection:
        for heading, (_, queries) in SECTIONS.items():
            for query in queries:
                answers = [answer(connection, query, zone) for zone in ("America/New_York", "UTC")]
                assert answers[0], heading
                assert answers[0] == answers[1], heading


def answer(connection: duckdb.DuckDBPyConnection, query: str, zone: str) -> list[object]:
    """The rows of a query in a session with this time zone."""
    connection.execute(f"set TimeZone = '{zone}'")
    return [rounded(row) for row in connection.execute(query).fetchall()]


def test_each_question_names_its_backfill() -> None:
    questions = {name: parts for name, parts in SECTIONS.items() if "queries.md" in name}
    for heading, (lines, queries) in questions.items():
        assert bool(queries) == any(" backfill " in line for line in lines), heading


@pytest.mark.parametrize(
    ("query", "is_of_the_session"),
    [
        ("select opened_at::date", True),
        ("select cast(candles.opened_at as date)", True),
        ("select cast(opened_at at time zone 'UTC' as date)", False),
        ("select cast(timezone('UTC', opened_at) as date)", False),
        ("select date_trunc('day', opened_at)", True),
        ("select date_trunc('day', opened_at at time zone 'UTC')", False),
        ("select hour(traded_at), strftime(traded_at, '%H')", True),
        ("select hour(traded_at at time zone 'UTC')", False),
        ("select extract(hour from opened_at)", True),
        ("where day = current_date", True),
    ],
)
def test_a_day_of_the_session_is_recognised(query: str, is_of_the_session: bool) -> None:
    assert bool(OF_THE_SESSION.search(query)) == is_of_the_session


def test_no_query_of_the_project_takes_a_day_from_the_session() -> None:
    files = [
        *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.py"),
        *ROOT.glob("benchmarks/*.py"), *ROOT.glob("deribit_pipeline/**/*.py"),
    ]  # fmt: skip
    found = {
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in files
        for match in OF_THE_SESSION.finditer(file.read_text())
    }
    assert found == set()
