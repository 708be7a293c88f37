"""The code location as it is, but that its schedules tick every minute: for tests with a daemon."""

from deribit_pipeline.definitions import build_definitions
from deribit_pipeline.defs.schedules import CRONS
from deribit_pipeline.settings import Settings

defs = build_definitions(Settings.load(), dict.fromkeys(CRONS, "* * * * *"))
