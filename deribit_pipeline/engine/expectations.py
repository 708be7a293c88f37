"""What is expected of a response: each row once, and no broken expectation."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.malformed import Malformed
from deribit_pipeline.domain.rows import Columns
from deribit_pipeline.engine.distinct import distinct
from deribit_pipeline.engine.following import TooManyPages
from deribit_pipeline.errors import DeribitBadPayload, EndlessPages

logger = logging.getLogger(__name__)


def once(
    dataset: Dataset, rows: Columns, expected: int = 0
) -> tuple[Columns, tuple[Malformed, ...]]:
    """Each row of a response once, and those that were returned twice with different values. Logs a
    warning for more repeated equal rows than expected."""
    found = distinct(dataset, rows)
    if found.repeated > expected:
        logger.warning(
            "%d %s of %s were repeated, equal in every field: each is one row",
            found.repeated - expected, dataset.rows, dataset.name,
        )  # fmt: skip
    return found.rows, found.malformed


@contextmanager
def expectations(method: str, **params: object) -> Iterator[None]:
    """Convert a ValueError of the block, an expectation that a response breaks, to
    DeribitBadPayload."""
    try:
        yield
    except TooManyPages as error:
        raise EndlessPages(str(error), method=method, params=params) from error
    except ValueError as error:
        raise DeribitBadPayload(str(error), method=method, params=params) from error
