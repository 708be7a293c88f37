"""Which exchange a warehouse, a client or a setting belongs to."""

from __future__ import annotations

import enum


class Environment(enum.StrEnum):
    """The exchange's environment: the real one, its test venue, or the sandbox of this project."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    SANDBOX = "sandbox"
