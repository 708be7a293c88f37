"""The files of `deploy/` are valid for their tools, and agree with each other."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest
import yaml
from compose_spec import PyCompose
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage
from dotenv import dotenv_values

from deribit_pipeline.defs.postgres_storage import (
    SharedPostgresEventLogStorage,
    SharedPostgresRunStorage,
    SharedPostgresScheduleStorage,
)
from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.deployment import (
    DEPLOY,
    ROOT,
    VARIABLE,
    ours,
    read,
    services,
    variables_of,
)
from deribit_pipeline_tests.helpers.servers import ObjectStore, Postgres
from deribit_pipeline_tests.test_settings import Watching

SECRETS = {
    "POSTGRES_PASSWORD": "password",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
BIN = Path(sys.executable).parent


def read_by_dagster() -> set[str]:
    """The variables that the instance's configuration names."""
    return set(re.findall(r"env: (\w+)", (DEPLOY / "dagster.yaml").read_text()))


def test_the_compose_file_is_one() -> None:
    compose = {"name": read("compose.yaml")["name"], "services": services(SECRETS)}
    more = {name: read("compose.yaml")[name] for name in ("configs", "volumes")}
    parsed = PyCompose.from_yaml(yaml.safe_dump(compose | more))
    assert {"code", "webserver", "daemon", "recorder", "worker"} == ours(SECRETS).keys()
    assert {"postgres", "objects", "bucket"} == set(parsed.service_names()) - ours(SECRETS).keys()


def test_a_secret_that_is_not_set_is_named() -> None:
    for name in SECRETS:
        with pytest.raises(KeyError, match=f"{name}: set it in"):
            services({other: value for other, value in SECRETS.items() if other != name})


def test_our_containers_keep_nothing_but_recordings() -> None:
    for name, service in ours(SECRETS).items():
        assert service["read_only"]
        # Runs, which are processes of the code server, take in what the recorder writes, and put
        # days of many rows into files that must not be in memory.
        kept = ["spool:/spool"] if name in ("code", "recorder", "worker") else []
        on_disk = ["/tmp"] if name in ("code", "worker") else []
        assert service.get("volumes", []) == kept + on_disk
        assert service["tmpfs"] == ([] if on_disk else ["/tmp"])
        assert service["environment"]["DERIBIT_SPOOL"] == "/spool"


@pytest.mark.parametrize("bind", ["127.0.0.1", "10.0.0.1"])
def test_further_machines_reach_the_stores_where_that_is_requested_and_never_the_ui(
    bind: str,
) -> None:
    given = SECRETS if bind == "127.0.0.1" else SECRETS | {"BIND": bind}
    published = {name: one["ports"] for name, one in services(given).items() if "ports" in one}
    assert published == {
        "webserver": ["127.0.0.1:3000:3000"],
        "postgres": [f"{bind}:5432:5432"],
        "objects": [f"{bind}:7070:7070"],
    }


@pytest.mark.skipif(not shutil.which("curl"), reason="the image that makes the bucket has curl")
def test_the_bucket_of_the_warehouse_is_made_once_in_any_region(store: ObjectStore) -> None:
    given = SECRETS | {
        "AWS_ACCESS_KEY_ID": store.key_id,
        "AWS_SECRET_ACCESS_KEY": store.secret,
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_REGION": "eu-central-1",
        "DERIBIT_WAREHOUSE_DATA": "s3://of-another-name/with/a/prefix",
    }
    service = services(given)["bucket"]
    made = store.folder.parent / "of-another-name"
    assert not made.exists()
    for _ in range(2):
        ended = subprocess.run(
            service["entrypoint"], env={"PATH": os.environ["PATH"]} | service["environment"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert made.is_dir()
    assert services(given)["objects"]["environment"]["VGW_REGION"] == "eu-central-1"


def test_what_lasts_says_itself_when_it_is_healthy_and_the_image_does_not() -> None:
    requested = {name: "healthcheck" in service for name, service in ours(SECRETS).items()}
    without = {"recorder", "worker"}  # the check `is_recording` reports the former
    assert {name for name, has in requested.items() if not has} == without
    assert not re.search("^(HEALTHCHECK|CMD)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_what_the_containers_run_is_there() -> None:
    for service in ours(SECRETS).values():
        program, *_ = [*service.get("entrypoint", []), *service["command"]]
        assert (BIN / program).exists()
        if "healthcheck" in service:
            assert (BIN / service["healthcheck"]["test"][1]).exists()


def test_the_settings_read_every_variable_of_the_containers() -> None:
    for service in ours(SECRETS).values():
        environment = Watching(service["environment"])
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
    environment = Watching(deployment["env"] | secret)
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
    variables = {"DAGSTER_HOME": str(tmp_path)} | variables_of(postgres.database())
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
        assert isinstance(instance.event_log_storage, SharedPostgresEventLogStorage)
        result = dg.materialize([speaking], instance=instance)
        assert instance.get_run_by_id(result.run_id)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    output = [line for line in map(yaml.safe_load, lines) if line["message"] == "a line"]
    assert [line["run_id"] for line in output] == [result.run_id]
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert left == {"dagster.yaml"}


STORAGES = {"run_storage", "event_log_storage", "schedule_storage"}
DATABASE = {"hostname", "port", "db_name", "username", "password"}
POLICIES = {"concurrency", "run_retries", "run_monitoring", "nux"}


def test_the_policies_are_those_of_one_machine() -> None:
    one = yaml.safe_load((ROOT / "deribit_pipeline/dagster.yaml").read_text())
    several = read("dagster.yaml")
    # They differ in their log handlers and in their storage.
    assert several.pop("python_logs").keys() == one.pop("python_logs").keys()
    assert one.pop("storage").keys() == {"custom"}
    assert {key: several[key] for key in several.keys() - STORAGES} == one


def test_the_policies_of_the_chart_are_the_same() -> None:
    instance, values = read("dagster.yaml"), read("helm/values.yaml")
    additional = values["additionalInstanceConfig"]
    assert additional.keys() == POLICIES | STORAGES
    assert {key: additional[key] for key in POLICIES} == {key: instance[key] for key in POLICIES}
    logs = values["pythonLogs"]
    assert {
        "managed_python_loggers": logs["managedPythonLoggers"],
        "python_log_level": logs["pythonLogLevel"],
        "dagster_handler_config": logs["dagsterHandlerConfig"],
    } == instance["python_logs"]


def test_the_storages_of_the_chart_give_way_to_ours(home: Path) -> None:
    """The chart writes both into one text, under the same keys."""
    ours = {name: read("dagster.yaml")[name] for name in STORAGES}
    stock = {
        name: {
            "module": storage.__module__,
            "class": storage.__name__,
            "config": ours[name]["config"],
        }
        for name, storage in {
            "run_storage": PostgresRunStorage,
            "event_log_storage": PostgresEventLogStorage,
            "schedule_storage": PostgresScheduleStorage,
        }.items()
    }
    additional = read("helm/values.yaml")["additionalInstanceConfig"]
    for name in STORAGES:
        assert additional[name]["config"]["postgres_db"].keys() == DATABASE
        additional[name]["config"] = ours[name]["config"]
    text = yaml.safe_dump(stock) + yaml.safe_dump(additional)
    (home / "dagster.yaml").write_text(text + "telemetry: {enabled: false}\n")
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_storage, SharedPostgresRunStorage)
        assert isinstance(instance.event_log_storage, SharedPostgresEventLogStorage)
        assert isinstance(instance.schedule_storage, SharedPostgresScheduleStorage)
        assert instance.get_runs() == []


# The values that ours set, each looked up by hand in the chart's schema, which is in no package
# (dagster-io/dagster, helm/dagster/schema). Helm silently ignores unknown values.
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
EXTRA = {"PersistentVolumeClaim": "deribit-spool", "Deployment": "deribit-recorder"}
DEPLOYMENT = {
    "name", "image", "codeServerArgs", "port", "includeConfigInLaunchedRuns", "env", "envSecrets",
    "resources", "volumes", "volumeMounts",
}  # fmt: skip


def test_no_value_is_set_that_was_not_looked_up_in_the_chart() -> None:
    values = {key: value for key, value in read("helm/values.yaml").items() if key[:2] != "x-"}
    assert values.pop("generatePostgresqlPasswordSecret") is False
    assert values.pop("additionalInstanceConfig")
    extra = values.pop("extraManifests")
    assert {each["kind"]: each["metadata"]["name"] for each in extra} == EXTRA
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


def test_every_web_server_of_the_image_has_the_guard_before_it() -> None:
    guarded = "python -m deribit_pipeline.defs.webserver"
    command = services(SECRETS)["webserver"]["command"]
    assert " ".join(command).startswith(guarded)
    # Dagster's chart starts dagster-webserver, which is found where pip puts it.
    assert "COPY deploy/dagster-webserver /usr/local/bin/\n" in (DEPLOY / "Dockerfile").read_text()
    script = DEPLOY / "dagster-webserver"
    assert script.read_text().splitlines()[-1] == f'exec {guarded} "$@"'
    assert os.access(script, os.X_OK)


def test_the_image_is_given_what_it_copies() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for path in " ".join(copied).split():
        assert list(ROOT.glob(path)), path
        assert any(Path(path).match(one) for one in sent), path
    assert "*" in ignored
