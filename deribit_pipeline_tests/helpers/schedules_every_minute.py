"""The code location with schedules that tick every minute, for tests with a daemon."""

from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.schedules import CRONS
from deribit_pipeline.settings import Settings

defs = build_definitions(Settings.load(), dict.fromkeys(CRONS, "* * * * *"))
