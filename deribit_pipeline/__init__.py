"""A complete, provable, local warehouse of the Deribit exchange's market history.

What a program may import: `read`, whose functions return the rows of the warehouse as frames, the
errors that they raise, and `__version__`. Everything else is internal and changes without notice.
Importing the package is cheap: `read` is imported when it is first used, pandas, polars and pyarrow
when a frame of theirs is made.
"""

import importlib
from typing import TYPE_CHECKING

from deribit_pipeline.errors import (
    DeribitPipelineError,
    IncompleteDays,
    InputError,
    SettingsError,
    SpoolError,
    WarehouseError,
)
from deribit_pipeline.version import __version__

__all__ = [
    "DeribitPipelineError",
    "IncompleteDays",
    "InputError",
    "SettingsError",
    "SpoolError",
    "WarehouseError",
    "__version__",
    "read",
]

if TYPE_CHECKING:
    from deribit_pipeline import read
else:

    def __getattr__(name: str) -> object:
        if name == "read":
            return importlib.import_module("deribit_pipeline.read")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __all__
