"""`ui`: Dagster's UI, schedules and runs, until interrupted."""

import ipaddress
import os
import socket
import time
from pathlib import Path
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.interrupts import Interrupted, caught
from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.errors import InputError
from deribit_pipeline.extras import require_packages
from deribit_pipeline.home import prepare_home
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings

# Seconds between two checks whether all processes run.
_PAUSE = 0.5


@command("deribit-pipeline ui --port 3000")
def ui(
    port: Annotated[
        int,
        typer.Option(metavar="PORT", help="Port of the UI; 0 takes a free one.", min=0, max=65535),
    ] = 3000,
    host: Annotated[
        str, typer.Option(help="The address to listen on. The UI has no login.", metavar="ADDRESS")
    ] = "127.0.0.1",
) -> int:
    """Serve Dagster's UI and run its daemon until interrupted, with the DAGSTER_HOME and the
    settings of DERIBIT_HOME, or else of the current folder, and a recorder of what schedules take
    in. Requests from other web pages, or with an unknown host name, are refused."""
    require_packages("ui", "Dagster's UI")
    settings = Settings.load()
    host = _address(host)
    port = _free(host, port)
    _say(_where(settings))
    home = prepare_home(settings.dagster_home)
    # Importing Dagster takes more than a second: invalid options are reported before.
    from deribit_pipeline.defs.assigned_once import require_unmoved
    from deribit_pipeline.defs.grouped_series import groups_of, resolved
    from deribit_pipeline.defs.recorded_lists import record_lists
    from deribit_pipeline.defs.recording_check import datasets_to_record
    from deribit_pipeline.defs.runs import recording
    from deribit_pipeline.defs.services import Services

    # This marks runs whose process was killed as failed, which frees their slots in the queue.
    with recording(home) as instance:
        warehouse = warehouse_of(settings)
        require_unmoved(instance, groups_of(*resolved(settings, warehouse)))
        record_lists(instance, warehouse)
        recorded = datasets_to_record(instance, settings)
    recorder = ["record", "--datasets", ",".join(recorded)] if recorded else []
    at = f"[{host}]" if ":" in host else host
    with Services(home) as services:
        try:
            services.start(host, port, recorder)
            _say(f"Dagster's UI listens at http://{at}:{port} until interrupted.")
            while True:
                services.require_running()
                time.sleep(_PAUSE)
        except Interrupted:
            caught()
            raise


def _where(settings: Settings) -> str:
    home, warehouse = settings.dagster_home.absolute(), settings.warehouse
    place = warehouse.absolute() if isinstance(warehouse, Path) else warehouse
    is_new = "" if (home / "history").exists() else " (new: it has no runs yet)"
    return (
        f"DAGSTER_HOME is {home}{is_new}; the warehouse is {place}. DERIBIT_HOME names the folder "
        "of others."
    )


def _say(text: str) -> None:
    stderr().print(text, markup=False, highlight=False, soft_wrap=True)


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]")))
    except ValueError as error:
        raise InputError(
            f"--host must be an address of this machine, such as 127.0.0.1, was {host!r}."
        ) from error


def _free(host: str, port: int) -> int:
    """The port; a free one for 0. Raises InputError if it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port} cannot be used ({_reason(error)}): choose another port, "
            "or 0 for any."
        ) from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
