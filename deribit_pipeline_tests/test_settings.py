"""Settings come from one mapping; an invalid one is reported in one clear sentence."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from dotenv import dotenv_values

from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.domain.location import LAKE, LOCAL_LAKE, Lake, LocalLake
from deribit_pipeline.errors import DeribitPipelineError, SettingsError
from deribit_pipeline.settings import Settings, location

ROOT = Path(__file__).parents[1]


class Watching(dict[str, str | None]):
    """A mapping that records the requested keys."""

    def __init__(self, values: Mapping[str, str | None]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def get(self, key: str, default: object = None) -> str | None:  # type: ignore[override]
        self.read.add(key)
        return super().get(key)


def example() -> Iterator[tuple[str, str | None]]:
    """What `.env.example` sets, and the lines that it cannot set uncommented."""
    text = (ROOT / ".env.example").read_text()
    yield from dotenv_values(ROOT / ".env.example").items()
    yield from re.findall(r"^# (DAGSTER_HOME|DERIBIT_HOME)=(\S+)$", text, re.MULTILINE)


def test_env_example_names_every_variable_with_its_default() -> None:
    env = Watching(dict(example()))
    assert Settings.from_env(env) == Settings()
    assert set(env) == env.read


def test_env_example_names_every_variable_that_is_read_where_the_warehouse_is_a_lake() -> None:
    env = Watching({"DERIBIT_WAREHOUSE": f"{LAKE}host=db", "DERIBIT_WAREHOUSE_DATA": "/lake"})
    Settings.from_env(env)
    text = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"\b[A-Z]+_[A-Z0-9_]+\b", text)) == env.read


def test_nothing_set_means_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_the_warehouse_is_named_after_the_environment() -> None:
    assert Settings.from_env({"DERIBIT_ENV": "testnet"}).warehouse == Path("data/testnet.duckdb")


def test_another_warehouse_stands_in_for_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERIBIT_WAREHOUSE", f"{LAKE}host=db")
    monkeypatch.setenv("DERIBIT_WAREHOUSE_DATA", "/lake")
    assert Settings.load("w.duckdb").warehouse == location("w.duckdb") == Path("w.duckdb")
    monkeypatch.delenv("DERIBIT_WAREHOUSE")
    lake = Settings.load(f"{LAKE}host=other").warehouse
    assert isinstance(lake, Lake)
    assert (lake.catalog, lake.data) == ("host=other", "/lake/")


def test_a_named_catalog_is_in_the_working_folder_like_a_named_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERIBIT_HOME", "/home")
    for configured, data in (
        ("", f"{tmp_path}/x.sqlite.files/"),
        ("lake", "/home/lake/"),
        ("s3://bucket/lake", "s3://bucket/lake/"),
    ):
        monkeypatch.setenv("DERIBIT_WAREHOUSE_DATA", configured)
        named = location(f"{LOCAL_LAKE}x.sqlite")
        assert named == LocalLake(f"{tmp_path}/x.sqlite", data)
    assert location(f"{LOCAL_LAKE}x.sqlite", "y") == LocalLake(
        f"{tmp_path}/x.sqlite", f"{tmp_path}/y/"
    )


def test_deribit_home_is_where_env_and_all_relative_paths_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / ".env").write_text("DERIBIT_ENV=testnet\n")
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("DERIBIT_HOME", str(home))
    settings = Settings.load()
    assert settings.environment is Environment.TESTNET
    assert settings.warehouse == home / "data" / "testnet.duckdb"
    assert settings.spool == home / "data" / "testnet-spool"
    assert settings.dagster_home == home / "dagster_home"
    # What a command line names is relative to the working folder.
    assert Settings.load("w.duckdb").warehouse == location("w.duckdb") == Path("w.duckdb")
    monkeypatch.setenv("DAGSTER_HOME", "/var/dagster")
    monkeypatch.setenv("DERIBIT_WAREHOUSE", f"{LAKE}host=db")
    monkeypatch.setenv("DERIBIT_WAREHOUSE_DATA", "lake")
    settings = Settings.load()
    assert settings.dagster_home == Path("/var/dagster")
    assert isinstance(settings.warehouse, Lake)
    assert settings.warehouse.data == f"{home}/lake/"
    assert Settings.load(f"{LAKE}host=other").warehouse.data == f"{home}/lake/"


def test_a_deribit_home_that_cannot_be_one_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERIBIT_HOME", "nowhere")
    with pytest.raises(SettingsError, match="DERIBIT_HOME nowhere is not a folder"):
        Settings.load()
    monkeypatch.delenv("DERIBIT_HOME")
    (tmp_path / ".env").write_text("DERIBIT_HOME=/data\n")
    with pytest.raises(SettingsError, match="set it in the environment instead"):
        Settings.load()


def test_the_universe_is_split_and_each_name_kept_once() -> None:
    settings = Settings.from_env(
        {"DERIBIT_INSTRUMENTS": "BTC-PERPETUAL, SOL_USDC-PERPETUAL,BTC-PERPETUAL"}
    )
    assert settings.instruments == ("BTC-PERPETUAL", "SOL_USDC-PERPETUAL")


def test_the_base_url_loses_its_last_slash() -> None:
    settings = Settings.from_env({"DERIBIT_BASE_URL": "http://127.0.0.1:8787/api/v2/"})
    assert settings.base_url == settings.source == "http://127.0.0.1:8787/api/v2"


def test_partitions_may_begin_on_any_day_until_today() -> None:
    for day in (date(2016, 1, 1), datetime.now(UTC).date()):
        settings = Settings.from_env({"DERIBIT_PARTITIONS_SINCE": str(day)})
        assert settings.partitions_since == day


def test_the_source_of_the_built_in_sandbox_has_no_port() -> None:
    assert Settings(environment=Environment.SANDBOX).source == "sandbox"


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        (
            {"DERIBIT_ENV": "prod"},
            "DERIBIT_ENV must be one of mainnet, testnet, sandbox, was 'prod'.",
        ),
        ({"DERIBIT_BASE_URL": "deribit"}, "DERIBIT_BASE_URL must be an API root"),
        ({"DERIBIT_BASE_URL": "ftp://host/api"}, "DERIBIT_BASE_URL must be an API root"),
        ({"DERIBIT_BASE_URL": "http://host:99999999/"}, "DERIBIT_BASE_URL must be an API root"),
        ({"DERIBIT_REQUESTS_PER_SECOND": "0"}, "must be a number above 0, was '0'"),
        ({"DERIBIT_REQUESTS_PER_SECOND": "nan"}, "must be a number above 0, was 'nan'"),
        ({"DERIBIT_BURST": "1.5"}, "must be a whole number from 1 to 1000000, was '1.5'"),
        ({"DERIBIT_CONCURRENCY": "-3"}, "must be a whole number from 1 to 32, was '-3'"),
        ({"DERIBIT_CONCURRENCY": "33"}, "must be a whole number from 1 to 32, was '33'"),
        ({"DERIBIT_BASE_URL": "http://xn--/api"}, "DERIBIT_BASE_URL must be an API root"),
        ({"DERIBIT_BASE_URL": "http://a b/api"}, "DERIBIT_BASE_URL must be an API root"),
        ({"DERIBIT_BASE_URL": "http://a\tb/api"}, "DERIBIT_BASE_URL must be an API root"),
        ({"DERIBIT_WEBSOCKET_URL": "http://host/ws"}, "must be the address of a WebSocket such as"),
        (
            {"DERIBIT_WEBSOCKET_URL": "wss://user:p@host/ws"},
            "WebSocket such as ws://127.0.0.1:8787",
        ),
        ({"DERIBIT_INSTRUMENTS": " , "}, "DERIBIT_INSTRUMENTS names no instrument"),
        ({"DERIBIT_INSTRUMENTS": "A|B"}, "holds 'A|B', which cannot be an instrument"),
        ({"DERIBIT_SCHEDULES": "yes"}, "DERIBIT_SCHEDULES must be on or off, was 'yes'."),
        ({"DERIBIT_PARTITIONS_SINCE": "2025"}, "must be a day until today, such as 20"),
        ({"DERIBIT_PARTITIONS_SINCE": "2999-01-01"}, "such as 20"),
        ({"DERIBIT_CLIENT_ID": "id"}, "belong together: set both or neither"),
    ],
)
def test_a_wrong_value_is_one_sentence(env: dict[str, str], sentence: str) -> None:
    with pytest.raises(DeribitPipelineError, match=re.escape(sentence)) as caught:
        Settings.from_env(env)
    assert "\n" not in str(caught.value)


KEY = {"DERIBIT_CLIENT_ID": "id-4711", "DERIBIT_CLIENT_SECRET": "s3cret"}


@pytest.mark.parametrize("host", ["exchange.example", "10.0.0.7:8787", "[fe80::1]", "0.0.0.0"])
def test_an_api_key_over_plain_http_is_refused_unless_it_stays_on_this_machine(host: str) -> None:
    root = f"http://{host}/api/v2"
    with pytest.raises(SettingsError, match="travels unencrypted: use https://") as caught:
        Settings.from_env({**KEY, "DERIBIT_BASE_URL": root})
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError, match="travels unencrypted"):
        Settings(base_url=root, client_id="id-4711", client_secret="s3cret")
    for url in (f"https://{host}/api/v2", "http://127.0.0.1:8787", "http://[::1]:1", ""):
        assert Settings.from_env({**KEY, "DERIBIT_BASE_URL": url}).client_id
    assert Settings.from_env({"DERIBIT_BASE_URL": root}).base_url == root


def test_an_api_key_over_an_open_websocket_is_refused_too() -> None:
    url = "ws://exchange.example/ws/api/v2"
    with pytest.raises(SettingsError, match="DERIBIT_WEBSOCKET_URL is .* unencrypted: use wss://"):
        Settings.from_env({**KEY, "DERIBIT_WEBSOCKET_URL": url})
    for right in (url.replace("ws:", "wss:"), "ws://127.0.0.1:8787/ws/api/v2"):
        assert Settings.from_env({**KEY, "DERIBIT_WEBSOCKET_URL": right}).websocket_url == right


def test_a_secret_is_in_no_repr_and_no_error() -> None:
    env = {"DERIBIT_CLIENT_ID": "id-4711", "DERIBIT_CLIENT_SECRET": "s3cret"}
    assert "s3cret" not in repr(Settings.from_env(env))
    with pytest.raises(DeribitPipelineError) as caught:
        Settings.from_env({"DERIBIT_BASE_URL": "http://user:s3cret@host/api"})
    assert "s3cret" not in str(caught.value)
