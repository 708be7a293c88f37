"""`.env` and the environment are read as written, or one sentence explains why not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.cli.test_names import HOSTILE
from deribit_pipeline_tests.helpers.processes import DAGSTER, script

SECRET = "s3cr3t-half"
KEY = "DERIBIT_CLIENT_ID=id\nDERIBIT_CLIENT_SECRET="


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a folder, which is the working one; the environment names no setting."""
    for name in [name for name in os.environ if name.startswith(("DERIBIT_", "AWS_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def refused(match: str) -> None:
    with pytest.raises(SettingsError, match=match) as caught:
        Settings.load()
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None or SECRET not in repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("# Café\nDERIBIT_ENV=testnet\n".encode("latin-1"), r"not UTF-8 text \(line 1\)"),
        ("A=1\r\nB=\xe9\r\n".encode("latin-1"), r"not UTF-8 text \(line 2\)"),
        ("DERIBIT_ENV=testnet\n".encode("utf-16"), "not UTF-8 text"),
        ("DERIBIT_ENV=testnet\n".encode("utf-16-le"), "UTF-16 perhaps: save it as UTF-8"),
        ("DERIBIT_ENV=testnet\n".encode("utf-16-be"), "UTF-16 perhaps: save it as UTF-8"),
        (b"DERIBIT_ENV=test\0net\n", "not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_utf_8_is_one_sentence(
    dotenv: Path, content: bytes, sentence: str
) -> None:
    dotenv.write_bytes(content)
    refused(sentence)


def test_a_byte_order_mark_of_utf_8_is_no_part_of_a_name(dotenv: Path) -> None:
    dotenv.write_bytes("DERIBIT_ENV=testnet\n".encode("utf-8-sig"))
    assert Settings.load().environment is Environment.TESTNET


@pytest.mark.parametrize(
    "line",
    [
        "DERIBIT_ENV testnet", "DERIBIT_ENV: testnet", "DERIBIT_ENV", "export DERIBIT_ENV",
        "set DERIBIT_ENV=testnet", "DERIBIT_ENV='testnet", "DERIBIT_ENV='test'net", "=testnet",
    ],
)  # fmt: skip
def test_a_line_that_is_no_setting_is_named_and_mainnet_is_not_used(
    dotenv: Path, line: str
) -> None:
    dotenv.write_text(f"# a comment\n\n{line}\n")
    refused("Line 3 of .env")


def test_a_quote_that_swallows_a_line_is_refused(dotenv: Path) -> None:
    dotenv.write_text('DERIBIT_INSTRUMENTS="BTC-PERPETUAL\nDERIBIT_ENV=testnet\nOTHER="\n')
    refused("Line 1 of .env has a quote that ends on another line")
    dotenv.write_text('OTHER="a\nDERIBIT_ENV=testnet\n"\n')
    refused("Line 1 of .env has a quote that ends on another line")
    dotenv.write_text('OTHER="a\nb"\nDERIBIT_ENV=testnet\n')
    assert Settings.load().environment is Environment.TESTNET


def test_a_setting_that_is_there_twice_is_refused(dotenv: Path) -> None:
    dotenv.write_text("DERIBIT_ENV=testnet\nDERIBIT_ENV=mainnet\n")
    refused("Line 2 of .env sets DERIBIT_ENV once more")


@pytest.mark.parametrize(
    "written",
    [
        f"{SECRET}$x", f"{SECRET}${{x}}", f"{SECRET}$", f"{SECRET} # x", f"{SECRET} #x",
        f"{SECRET}\t#x", f'"{SECRET}$x"', f'"{SECRET}${{HOME}}"', f'"{SECRET}\\n"',
        f"'{SECRET}\\\\'", f"'{SECRET}\\''",
    ],
)  # fmt: skip
def test_a_secret_that_would_be_altered_is_refused_and_not_shown(
    dotenv: Path, written: str
) -> None:
    dotenv.write_text(f"{KEY}{written}\n")
    refused("Line 2 of .env may not be read as it is written, for DERIBIT_CLIENT_SECRET holds")


@pytest.mark.processes
@pytest.mark.parametrize(
    "secret", ["a$b", "${HOME}x", "$", "a#b", "#", "a\\b", 'a"b', "${HOME:-x}", "%s{}`!"]
)
def test_a_secret_in_single_quotes_is_what_is_written(
    dotenv: Path, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv.write_text(f"{KEY}'{secret}'  # a comment\n")
    assert Settings.load().client_secret == secret
    # And so in a process of Dagster, whose commands put this file into the environment.
    output = subprocess.run(
        [str(DAGSTER.parent / "python"), "-c",
         "import logging\nfrom dagster._cli.utils import _inject_local_env_file as inject\n"
         "from deribit_pipeline.settings import Settings\n"
         "with inject(logging.getLogger()): print(Settings.load().client_secret)"],
        env={"HOME": "/somewhere"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert output.stdout == f"{secret}\n"


def test_a_password_in_the_name_of_the_warehouse_is_a_secret_too(dotenv: Path) -> None:
    dotenv.write_text(f"DERIBIT_WAREHOUSE=ducklake:postgres:host=db password={SECRET} # x\n")
    refused("for DERIBIT_WAREHOUSE holds")


def test_a_comment_may_follow_what_is_no_secret(dotenv: Path) -> None:
    dotenv.write_text(f"DERIBIT_ENV=testnet  # for now\n{KEY} # none\n".replace("=id", "="))
    settings = Settings.load()
    assert (settings.environment, settings.client_secret) == (Environment.TESTNET, None)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("DERIBIT_ENVIRONMENT", "DERIBIT_ENV"),
        ("DERIBIT_WAREHOSE", "DERIBIT_WAREHOUSE"),
        ("deribit_env", "DERIBIT_ENV"),
        ("Deribit_Env", "DERIBIT_ENV"),
        ("DERBIT_ENV", "DERIBIT_ENV"),
        ("DERIBIT-ENV", "DERIBIT_ENV"),
        ("DERIBIT_CLIENTSECRET", "DERIBIT_CLIENT_SECRET"),
        ("DERIBIT_INSTRUMENT", "DERIBIT_INSTRUMENTS"),
        ('"DERIBIT_ENV"', "DERIBIT_ENV"),
    ],
)
def test_a_name_that_no_setting_has_is_refused_wherever_it_is_and_the_nearest_is_named(
    dotenv: Path, name: str, near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv.write_text(f"{name}=testnet\n")
    refused(f"is no setting: did you mean {near}?")
    dotenv.unlink()
    monkeypatch.setenv(name, SECRET)
    refused(f"is no setting: did you mean {near}?")


def test_a_name_that_is_like_no_setting_is_refused_too(dotenv: Path) -> None:
    dotenv.write_text("DERIBIT_XYZZY=1\nOTHER=2\n")
    refused("'DERIBIT_XYZZY' is no setting: remove it.")


def test_what_kubernetes_says_of_its_services_is_no_setting(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = {
        "DERIBIT_PIPELINE_SERVICE_HOST": "10.0.0.1",
        "DERIBIT_PIPELINE_SERVICE_PORT_GRPC": "4000",
        "DERIBIT_PIPELINE_PORT": "tcp://10.0.0.1:4000",
        "DERIBIT_PIPELINE_PORT_4000_TCP_ADDR": "10.0.0.1",
    }
    for name, value in returned.items():
        monkeypatch.setenv(name, value)
    refused("is no setting")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.2")
    assert Settings.load() == Settings()


@pytest.mark.parametrize("name", [name for name in HOSTILE if "=" not in name and "\0" not in name])
def test_any_other_name_in_the_environment_is_let_be(
    dotenv: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    assert Settings.load() == Settings()


def test_a_link_to_nothing_and_a_file_that_cannot_be_read_are_refused(dotenv: Path) -> None:
    dotenv.symlink_to("elsewhere")
    refused("is a link to a file that is missing")
    dotenv.unlink()
    dotenv.symlink_to(".env")
    refused("cannot be read")
    dotenv.unlink()
    dotenv.mkdir()  # as virtual environments are called
    assert Settings.load() == Settings()


COMMANDS = [
    ("check",), ("coverage",), ("verify",), ("repair",), ("backup", "b"), ("instruments",),
    ("logs", "--run", "x"), ("prune", "--older-than", "9"), ("maintain",),
    ("backfill", "--start", "2024-01-01"), ("migrate-warehouse", "a", "b"),
]  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_ends_with_one_sentence_and_2(dotenv: Path, command: tuple[str, ...]) -> None:
    dotenv.write_bytes("DERIBIT_ENV=sandbox # é\n".encode("latin-1"))
    output = script(*command, env={}, cwd=dotenv.parent)
    assert (output.returncode, output.stderr.count("\n")) == (2, 1), output.stderr
    assert "not UTF-8 text" in output.stderr


@pytest.mark.processes
def test_the_code_location_says_the_sentence(dotenv: Path) -> None:
    dotenv.write_text("DERIBIT_ENVIRONMENT=testnet\n")
    output = subprocess.run(
        [sys.executable, "-c", "import deribit_pipeline.definitions"],
        env={}, cwd=dotenv.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert output.stderr.splitlines()[-1].startswith(
        "deribit_pipeline.errors.SettingsError: 'DERIBIT_ENVIRONMENT' is no setting: did you mean"
    )
