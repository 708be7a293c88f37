"""Every server listens on the loopback interface only."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deribit_pipeline.settings import Settings
from deribit_pipeline_tests.helpers.processes import SCRIPT, environment

ROOT = Path(__file__).parents[1]
LISTENING = "0A"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's table of sockets")


def listening(processes: set[int]) -> set[tuple[str, int]]:
    """The addresses and ports at which these processes listen."""
    inodes = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            try:
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
            except OSError:  # closed meanwhile
                continue
            inodes |= {found[1]} if found else set()
    found_at = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                host, port = fields[1].split(":")
                found_at.add((host, int(port, 16)))
    return found_at


def group_of(leader: int) -> set[int]:
    """The processes of the group that a process leads."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(path.name)) == leader:
                found.add(int(path.name))
        except ProcessLookupError:
            continue
    return found


THIS_MACHINE = "0100007F"  # 127.0.0.1, as Linux writes it


def hosts_once_open(command: list[str], port: int, env: dict[str, str]) -> set[str]:
    """The addresses of a program and its children once the port is open."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            found = listening(group_of(process.pid))
            if port in {at for _, at in found}:
                return {host for host, _ in found}
            assert process.poll() is None, "it ended"
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_the_built_in_sandbox_listens_to_this_machine_only(settings: Settings) -> None:
    port = int(str(settings.base_url).split(":")[2].split("/")[0])
    assert (THIS_MACHINE, port) in listening({os.getpid()})
    assert {host for host, at in listening({os.getpid()}) if at == port} == {THIS_MACHINE}


def test_a_sandbox_of_its_own_listens_to_this_machine_only(settings: Settings) -> None:
    port = free_port()
    command = [str(SCRIPT), "sandbox", "--port", str(port)]
    assert hosts_once_open(command, port, environment(settings)) == {THIS_MACHINE}


def test_a_program_that_listens_to_everybody_is_seen() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        assert ("00000000", listener.getsockname()[1]) in listening({os.getpid()})
