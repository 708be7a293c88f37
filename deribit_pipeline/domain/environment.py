"""Which exchange a warehouse, a client or a setting belongs to."""

from __future__ import annotations

import enum


class Environment(enum.StrEnum):
    """Which exchange: the real one, its test venue, or the one that comes with this project."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    SANDBOX = "sandbox"
