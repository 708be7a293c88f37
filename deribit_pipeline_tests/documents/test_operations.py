"""The operating guide works as written: each command, query and setting."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from dotenv import dotenv_values

from deribit_pipeline.cli.app import COMMANDS
from deribit_pipeline.cli.main import exit_code
from deribit_pipeline.defs.schedules import CRONS
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.conftest import Clock
from deribit_pipeline_tests.helpers.processes import environment

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/operations.md").read_text()
BIN = Path(sys.executable).parent

# Placeholders of the guide, and their values here.
RUN_ID, BACKUPS = "3f2a91c0", "/mnt/backups"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def folder(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What `git clone` leaves of what the guide needs; the exchange is the sandbox."""
    shutil.copy(ROOT / ".env.example", tmp_path)
    (tmp_path / "backups").mkdir()
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    here = replace(settings, warehouse=Path("data/mainnet.duckdb"))
    for name, value in environment(here).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # duckdb's use of pandas
def test_each_command_and_query_of_the_guide_works(
    folder: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(blocks("sh")).splitlines()
    for line in lines:
        line = line.replace(BACKUPS, "backups")
        if RUN_ID in line:
            with duckdb.connect("data/mainnet.duckdb", read_only=True) as warehouse:
                found = warehouse.execute("select max(run_id) from candle_days").fetchone()
            line = line.replace(RUN_ID, found[0][:8] if found else "")
        program, *arguments = shlex.split(line)
        if program == "deribit-pipeline":
            assert exit_code(arguments) == 0, (line, capsys.readouterr())
        else:
            subprocess.run([program, *arguments], check=True)
    with duckdb.connect("data/mainnet.duckdb", read_only=True) as warehouse:
        queries = "".join(blocks("sql"))
        assert queries.count(";") == 5
        for statement in warehouse.extract_statements(queries):
            warehouse.execute(statement).fetchall()
    [reading] = blocks("python")
    names: dict[str, object] = {}
    exec(reading, names)
    assert len(names["candles"]) == 31 * 1_440  # type: ignore[arg-type]


def test_the_guide_uses_every_command_that_keeps_a_warehouse() -> None:
    used = set(re.findall(r"^deribit-pipeline ([a-z-]+)", "".join(blocks("sh")), re.MULTILINE))
    assert set(COMMANDS) - used == {"chart", "demo", "docs", "record", "sandbox", "ui"}


def test_each_setting_of_the_guide_is_one(folder: Path) -> None:
    for block in blocks("ini"):
        if block.startswith("["):
            continue
        (folder / ".env").write_text(block)
        changed = dotenv_values(folder / ".env")
        assert set(changed) <= set(dotenv_values(ROOT / ".env.example"))
        assert Settings.from_env(changed) != Settings()


def test_the_guide_names_the_schedules_as_they_are() -> None:
    named = re.findall(
        r"^\| `(\w+_(?:minutes|hourly|daily|weekly|warehouse))` \|", GUIDE, re.MULTILINE
    )
    assert set(named) == set(CRONS)


def test_the_service_starts_a_program_that_is_there_on_the_loopback_interface() -> None:
    services = [block for block in blocks("ini") if block.startswith(("[", "#"))]
    starts = re.findall(
        r"^ExecStart=/srv/deribit-pipeline/\.venv/bin/(.*)$", "".join(services), re.M
    )
    assert all((BIN / start.split()[0]).exists() for start in starts)
    assert [start.partition(" ")[2] for start in starts] == [
        "record",
        "ui --host 127.0.0.1 --port 3000",
    ]
