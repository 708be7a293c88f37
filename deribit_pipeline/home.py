"""DAGSTER_HOME: the folder of Dagster's instance, made where it is missing."""

import importlib.resources
import os
from pathlib import Path

from deribit_pipeline.errors import SettingsError


def prepare_home(home: Path) -> Path:
    """Make the folder, give it the project's `dagster.yaml` where it has none, and set
    DAGSTER_HOME to it, which Dagster and the log file read. Answers its absolute path.

    Raises SettingsError where it cannot be used.
    """
    home = home.absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        configuration = home / "dagster.yaml"
        if not configuration.exists():
            template = importlib.resources.files("deribit_pipeline") / "dagster.yaml"
            configuration.write_text(template.read_text())
    except OSError as error:
        raise SettingsError(
            f"DAGSTER_HOME {home} cannot be used ({error.strerror}): make it a folder that can "
            "be written."
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home
