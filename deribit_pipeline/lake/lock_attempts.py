"""A wait for a lock of a lake: logged once, and ended after a while."""

import logging
import threading
import time
from collections.abc import Iterator

from deribit_pipeline.domain.location import Lake
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse.holders import SAID_AFTER

logger = logging.getLogger(__name__)


def attempts(lake: Lake, patience: float, given_up: threading.Event) -> Iterator[None]:
    """Yield before each attempt to lock. Raises WarehouseError instead of another one after
    `patience` seconds, or once `given_up` is set."""
    began, is_said = time.monotonic(), False
    while True:
        yield
        waited = time.monotonic() - began
        if waited >= SAID_AFTER and not is_said:
            is_said = True
            logger.warning("Waiting for %s, which other workers have locked", lake)
        if given_up.is_set() or waited > patience:
            raise WarehouseError(
                f"{lake} was held by other workers for {patience:.0f} s: the same command "
                "continues from what is stored."
            )
