"""What `deploy/` holds is understood by the tools that it is for, and says one thing throughout."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from compose_spec import PyCompose
from dotenv import dotenv_values

from deribit_pipeline.defs.postgres import BatchedPostgresEventLogStorage
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.deployment import DEPLOY, ROOT, VARIABLE, ours, read, services
from deribit_pipeline_tests.servers import HOST, Postgres

SECRETS = {
    "POSTGRES_PASSWORD": "password",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
BIN = Path(sys.executable).parent


class Watched(dict[str, str | None]):
    """A mapping that notes what is read of it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


def read_by_dagster() -> set[str]:
    """The variables that the instance's configuration names."""
    return set(re.findall(r"env: (\w+)", (DEPLOY / "dagster.yaml").read_text()))


def test_the_compose_file_is_one() -> None:
    compose = {"name": read("compose.yaml")["name"], "services": services(SECRETS)}
    more = {name: read("compose.yaml")[name] for name in ("configs", "volumes")}
    parsed = PyCompose.from_yaml(yaml.safe_dump(compose | more))
    assert {"code", "webserver", "daemon", "worker"} == ours(SECRETS).keys()
    assert {"postgres", "objects", "bucket"} == set(parsed.service_names()) - ours(SECRETS).keys()


def test_a_secret_that_is_not_set_is_named() -> None:
    for name in SECRETS:
        with pytest.raises(KeyError, match=f"{name}: set it in"):
            services({other: value for other, value in SECRETS.items() if other != name})


def test_our_containers_keep_nothing() -> None:
    for service in ours(SECRETS).values():
        assert service["read_only"]
        assert "volumes" not in service


def test_what_the_containers_run_is_there() -> None:
    for service in ours(SECRETS).values():
        program, *_ = [*service.get("entrypoint", []), *service["command"]]
        assert (BIN / program).exists()
        if "healthcheck" in service:
            assert (BIN / service["healthcheck"]["test"][1]).exists()


def test_the_settings_read_every_variable_of_the_containers() -> None:
    for service in ours(SECRETS).values():
        environment = Watched(service["environment"])
        settings = Settings.from_env(environment)
        assert environment.keys() <= environment.read | read_by_dagster()
        assert settings.instruments == Settings().instruments
        assert "password" not in str(settings.warehouse)
        assert settings.schedules


def test_the_settings_read_every_variable_of_the_pods() -> None:
    [deployment] = read("helm/values.yaml")["dagster-user-deployments"]["deployments"]
    text = (DEPLOY / "helm/values.yaml").read_text()
    secret = dict(re.findall(r"--from-literal=([A-Z_]+)='?([^ ']*)", text))
    assert secret.keys() == {"DERIBIT_WAREHOUSE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    environment = Watched(deployment["env"] | secret)
    Settings.from_env(environment)
    assert environment.keys() <= environment.read


def test_dagster_is_given_every_variable_that_its_configuration_names() -> None:
    for service in ours(SECRETS).values():
        assert read_by_dagster() <= service["environment"].keys()


def test_the_example_lists_what_the_compose_file_takes_with_its_defaults() -> None:
    text = (DEPLOY / ".env.example").read_text()
    listed = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    taken = {
        name: default if how == "-" else ""
        for name, how, default in VARIABLE.findall((DEPLOY / "compose.yaml").read_text())
        if how
    }
    assert listed == taken
    assert dotenv_values(DEPLOY / ".env.example").keys() == SECRETS.keys()


@pytest.fixture
def home(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A DAGSTER_HOME as the image has it, with a new database."""
    (tmp_path / "dagster.yaml").write_text((DEPLOY / "dagster.yaml").read_text())
    variables = {
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_PG_HOST": HOST,
        "DAGSTER_PG_PORT": str(postgres.port),
        "DAGSTER_PG_DB": postgres.database().rpartition("/")[2],
        "DAGSTER_PG_USERNAME": postgres.USER,
        "DAGSTER_PG_PASSWORD": postgres.PASSWORD,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_dagster_takes_its_configuration_and_keeps_nothing_on_the_machine(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @dg.asset
    def speaking() -> dg.MaterializeResult[None]:
        dg.get_dagster_logger("deribit_pipeline").info("a line")
        return dg.MaterializeResult()

    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, BatchedPostgresEventLogStorage)
        result = dg.materialize([speaking], instance=instance)
        assert instance.get_run_by_id(result.run_id)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    said = [line for line in map(yaml.safe_load, lines) if line["message"] == "a line"]
    assert [line["run_id"] for line in said] == [result.run_id]
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert left == {"dagster.yaml"}


OWN = {"storage", "python_logs"}  # where the books are kept, and where lines go
POLICIES = {"concurrency", "run_retries", "run_monitoring", "nux"}


def test_the_policies_are_those_of_one_machine() -> None:
    one = yaml.safe_load((ROOT / "deribit_pipeline/dagster.yaml").read_text())
    several = read("dagster.yaml")
    assert several.keys() == one.keys()
    assert {key: several[key] for key in several.keys() - OWN} == {
        key: one[key] for key in one.keys() - OWN
    }


def test_the_policies_of_the_chart_are_the_same() -> None:
    instance, values = read("dagster.yaml"), read("helm/values.yaml")
    additional = values["additionalInstanceConfig"]
    assert additional.keys() == POLICIES | {"event_log_storage"}
    assert {key: additional[key] for key in POLICIES} == {key: instance[key] for key in POLICIES}
    logs = values["pythonLogs"]
    assert {
        "managed_python_loggers": logs["managedPythonLoggers"],
        "python_log_level": logs["pythonLogLevel"],
        "dagster_handler_config": logs["dagsterHandlerConfig"],
    } == instance["python_logs"]


def test_the_event_log_of_the_chart_gives_way_to_ours(home: Path) -> None:
    """The chart writes both into one text, under the same key."""
    place = read("dagster.yaml")["storage"]["custom"]["config"]
    of_the_chart = {
        f"{kind}_storage": {
            "module": f"dagster_postgres.{kind}_storage".replace("log_storage", "log"),
            "class": "Postgres" + f"{kind}_storage".title().replace("_", ""),
            "config": place,
        }
        for kind in ("schedule", "run", "event_log")
    }
    additional = read("helm/values.yaml")["additionalInstanceConfig"]
    additional["event_log_storage"]["config"] = place
    text = yaml.safe_dump(of_the_chart) + yaml.safe_dump(additional)
    (home / "dagster.yaml").write_text(text + "telemetry: {enabled: false}\n")
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, BatchedPostgresEventLogStorage)
        assert instance.get_runs() == []


# The values of the chart that ours set, as its values.schema.json has them: what is not there, the
# chart passes over in silence.
CHART = {
    "global": {"postgresqlSecretName"},
    "postgresql": {
        "enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "service",
    },
    "dagsterWebserver": {"image"},
    "dagsterDaemon": {"image", "runCoordinator", "runMonitoring", "runRetries"},
    "dagster-user-deployments": {"deployments"},
    "runLauncher": {"type", "config"},
    "computeLogManager": {"type"},
    "pythonLogs": {"managedPythonLoggers", "pythonLogLevel", "dagsterHandlerConfig"},
    "telemetry": {"enabled"},
}  # fmt: skip
DEPLOYMENT = {
    "name", "image", "codeServerArgs", "port", "includeConfigInLaunchedRuns", "env", "envSecrets",
    "resources",
}  # fmt: skip


def test_the_chart_has_the_values_that_ours_set() -> None:
    values = {key: value for key, value in read("helm/values.yaml").items() if key[:2] != "x-"}
    assert values.pop("generatePostgresqlPasswordSecret") is False
    assert values.pop("additionalInstanceConfig")
    assert {key: set(value) for key, value in values.items()} == CHART
    [deployment] = values["dagster-user-deployments"]["deployments"]
    assert deployment.keys() == DEPLOYMENT
    assert values["runLauncher"]["config"].keys() == {
        values["runLauncher"]["type"][0].lower() + "8sRunLauncher"
    }


def test_the_chart_is_of_the_dagster_that_is_pinned() -> None:
    text = (DEPLOY / "helm/values.yaml").read_text()
    assert re.findall(r"--version (\S+)", text) == [version("dagster")]


def test_the_dockerfile_is_sound() -> None:
    hadolint = [BIN / "hadolint", DEPLOY / "Dockerfile"]
    found = subprocess.run(hadolint, capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_the_image_is_given_what_it_copies() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for path in " ".join(copied).split():
        assert list(ROOT.glob(path)), path
        assert any(Path(path).match(one) for one in sent), path
    assert "*" in ignored
