"""A process has a unique name, and is not alive once it has ended."""

import os
import subprocess
import sys

from deribit_pipeline.processes import is_alive, name_of


def test_a_process_that_ended_is_not_alive_though_its_parent_has_not_waited_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = name_of(process.pid)
    assert is_alive(name)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # leaves it as it is
    assert not is_alive(name)
    process.communicate()
    assert not is_alive(name)


def test_a_number_that_was_given_again_is_another_process() -> None:
    assert is_alive(name_of(os.getpid()))
    assert not is_alive(f"{os.getpid()}@1")
