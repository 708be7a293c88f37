"""This machine is recognised in every spelling of its address, and no other host is."""

import pytest

from deribit_pipeline.addresses import is_loopback


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:8787", "127.1.2.3", "127.1", "2130706433", "localhost",
        "LocalHost:80", "localhost.", "exchange.localhost", "[::1]", "[::1]:8787",
        "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
    ],
)  # fmt: skip
def test_this_machine_is_known(host: str) -> None:
    assert is_loopback(f"http://{host}/api/v2")


@pytest.mark.parametrize(
    "host",
    [
        "www.deribit.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.0",
        "[fe80::1]", "[::ffff:10.0.0.1]", "notlocalhost", "128.0.0.1",
    ],
)  # fmt: skip
def test_no_other_host_is_taken_for_it(host: str) -> None:
    assert not is_loopback(f"http://{host}/api/v2")
