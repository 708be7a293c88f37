"""What a backfill asks of a dataset's source."""

import pkgutil
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, cast

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.proofs import FetchedDay
from deribit_pipeline.errors import DeribitError
from deribit_pipeline.exchange.session import Exchange
from deribit_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class FailedDays:
    """Days of which no believable answer is to be had, and why."""

    days: Sequence[date]
    error: DeribitError


class Source(Protocol):
    """Brings the days of one series. Without state: many series are fetched at the same time."""

    def fetch(
        self, exchange: Exchange, warehouse: Warehouse, series: str, days: Sequence[date]
    ) -> AsyncGenerator[FetchedDay | FailedDays]:
        """Every day asked for once, in any order, as soon as it is believed; as FailedDays once
        more, where it is found wrong afterwards.

        `days` are sorted, each once, none in the future, and may have breaks. How many requests
        are in flight, the client sees to. Raises DeribitError where nothing more is to be had of
        the series: the days not brought by then have failed.
        """

    def requests(self, series: str, days: Sequence[date], *, each_twice: bool = False) -> int:
        """How many requests that takes, as far as it can be told before. With `each_twice`, as
        many as an exchange takes whose `each_twice` is set: more only where a single response may
        be believed otherwise."""


def source_of(dataset: Dataset) -> Source:
    """The source of a dataset, which is imported now."""
    return cast(Source, pkgutil.resolve_name(dataset.source))
