"""Says where a command is about to create a warehouse: in another folder than expected, it would
silently begin a second one."""

from pathlib import Path

from deribit_pipeline.cli.terminal import stderr
from deribit_pipeline.domain.location import Location


def say_where_new(warehouse: Location) -> None:
    """Print the absolute path of a warehouse file that does not exist yet."""
    if isinstance(warehouse, Path) and not warehouse.exists():
        stderr().print(
            f"Creating the warehouse {warehouse.absolute()}; DERIBIT_HOME names the folder of "
            "another one.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
