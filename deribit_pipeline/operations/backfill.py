"""The main job: make instrument-days complete. Fetches, proves and writes at the same time."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from deribit_pipeline.deribit.client import CHART, DeribitClient
from deribit_pipeline.domain import Candles, DayProof, Instrument, Resolution, day_window
from deribit_pipeline.errors import DeribitBadPayload, DeribitError
from deribit_pipeline.operations.exchange import Exchange
from deribit_pipeline.operations.fetch import fetch_pages
from deribit_pipeline.operations.outcome import Outcome, log_progress
from deribit_pipeline.planning.days import Assembly, FetchedDay, prove, unlisted_day
from deribit_pipeline.planning.requests import ChartRequest, requests
from deribit_pipeline.warehouse import reads
from deribit_pipeline.warehouse.file import Warehouse
from deribit_pipeline.warehouse.writes import Provenance, write_days

logger = logging.getLogger(__name__)

# Fetched days that may wait for the writer, 80 kB each at one minute: it bounds the memory
# whatever the range, and is a second's work for the writer.
_MOST_WAITING = 400

_CLOCK_TOLERANCE = timedelta(minutes=1)


def backfill(
    exchange: Exchange,
    warehouse: Warehouse,
    resolution: Resolution,
    days: Mapping[str, Collection[date]],
    *,
    run_id: str,
    force: bool = False,
    on_progress: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Make these days of each instrument complete, as far as the exchange lets them be.

    Days already settled are not asked for again unless `force` says so. A day is written whole,
    as soon as it is proved; what fails leaves the other days standing and is named in the
    outcome. `on_progress` is called after each write, from the thread that writes.

    Raises UnknownInstrument before anything is written, DeribitError where not even the listing
    is to be had, and WarehouseError where the warehouse fails.
    """
    outcome = Outcome(asked=sum(len(wanted) for wanted in days.values()))
    with warehouse.reading() as connection:
        settled = [] if force else settled_days(connection, resolution, days)
    outcome.proofs = {(proof.instrument_name, proof.day): proof for proof in settled}
    unsettled = {
        name: [day for day in sorted(set(wanted)) if (name, day) not in outcome.proofs]
        for name, wanted in days.items()
    }
    unsettled = {name: wanted for name, wanted in unsettled.items() if wanted}
    if unsettled:
        work = _Backfill(exchange, warehouse, resolution, run_id, outcome, on_progress)
        exchange.run(work.run(unsettled))
    return outcome


def settled_days(
    connection: reads.Connection, resolution: Resolution, days: Mapping[str, Collection[date]]
) -> list[DayProof]:
    """The proofs of those days about which nothing more need be asked."""
    wanted = {(name, day) for name, some in days.items() for day in some}
    if not wanted:
        return []
    proofs = reads.proofs(
        connection,
        instrument_names=list(days),
        resolution=resolution,
        first=min(day for _, day in wanted),
        last=max(day for _, day in wanted),
    )
    return [p for p in proofs if p.is_settled and (p.instrument_name, p.day) in wanted]


async def listings(client: DeribitClient, names: Collection[str]) -> dict[str, Instrument]:
    """When each of these instruments was listed and expires, by the exchange.

    Raises UnknownInstrument for one that the exchange does not list.
    """
    found = await asyncio.gather(
        *(client.get_instrument(name) for name in names), return_exceptions=True
    )
    instruments = {}
    for name, instrument in zip(names, found, strict=True):
        if isinstance(instrument, BaseException):
            raise instrument
        instruments[name] = instrument
    return instruments


class _Backfill:
    """The state of one backfill: workers fetch and cut into days, one writer proves and writes."""

    def __init__(
        self,
        exchange: Exchange,
        warehouse: Warehouse,
        resolution: Resolution,
        run_id: str,
        outcome: Outcome,
        on_progress: Callable[[Outcome], None],
    ) -> None:
        self._client = exchange.client
        self._warehouse = warehouse
        self._resolution = resolution
        self._provenance = Provenance(warehouse.environment, exchange.source, run_id)
        self._outcome = outcome
        self._on_progress = on_progress
        self._began = time.monotonic()
        self._requests_before = self._sent()
        self._assemblies: dict[str, Assembly] = {}
        self._fetched: asyncio.Queue[FetchedDay | None] = asyncio.Queue(_MOST_WAITING)
        self._stopped_by: DeribitError | None = None

    async def run(self, days: Mapping[str, Sequence[date]]) -> None:
        instruments = await listings(self._client, days)
        _warn_of_clock(self._client.rpc.as_of)
        for name, instrument in instruments.items():
            self._assemblies[name] = Assembly(instrument, self._resolution, days[name])
        plan = itertools.chain.from_iterable(
            requests(instrument, self._resolution, days[name])
            for name, instrument in instruments.items()
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_as_they_come())
                await self._hand_over_unlisted()
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._client.rpc.concurrency):
                        workers.create_task(self._fetch(plan))
                await self._fetched.put(None)
        except BaseExceptionGroup as several:
            raise _first(several) from several
        self._count()

    async def _hand_over_unlisted(self) -> None:
        as_of = self._client.rpc.as_of
        assert as_of is not None
        for name, assembly in self._assemblies.items():
            for day in assembly.unlisted:
                await self._fetched.put(unlisted_day(name, self._resolution, day, as_of))

    async def _fetch(self, plan: Iterator[ChartRequest]) -> None:
        """Take one request after the other from the plan that all workers share."""
        for request in plan:
            if self._stopped_by is not None:
                self._fail(request, self._stopped_by)
                continue
            try:
                pages = await fetch_pages(self._client, request)
            except DeribitError as error:
                self._fail(request, error)
                # An odd answer says something of its window; a refusal or an outage, of them all.
                if not isinstance(error, DeribitBadPayload):
                    self._stopped_by = error
                continue
            for page in pages:
                for day in self._assemblies[request.instrument.instrument_name].add(page):
                    await self._fetched.put(day)

    def _fail(self, request: ChartRequest, error: DeribitError) -> None:
        name = request.instrument.instrument_name
        for day in self._assemblies[name].days_in(request.window):
            self._outcome.failures[name, day] = str(error)
        logger.error(
            "%s %s %s: not proved: %s", name, self._resolution.label, request.window, error,
            extra={"instrument_name": name, "window": str(request.window)},
        )  # fmt: skip

    async def _write_as_they_come(self) -> None:
        """Write everything that is waiting in one transaction, again and again until the end."""
        at_end = False
        while not at_end:
            batch = [await self._fetched.get()]
            while not self._fetched.empty():
                batch.append(self._fetched.get_nowait())
            at_end = batch[-1] is None
            days = [day for day in batch if day is not None]
            if days:
                await asyncio.to_thread(self._write, days)

    def _write(self, days: Sequence[FetchedDay]) -> None:
        by_name: dict[str, list[FetchedDay]] = {}
        for day in days:
            by_name.setdefault(day.instrument_name, []).append(day)
        written: list[DayProof] = []
        with self._warehouse.writing() as connection:
            for of_one in by_name.values():
                written += self._write_instrument(connection, of_one)
        for proof in written:
            self._outcome.proofs[proof.instrument_name, proof.day] = proof
        self._count()
        for name in by_name:
            proofs = [proof for proof in written if proof.instrument_name == name]
            log_progress(proofs, self._resolution, self._outcome)
        self._on_progress(self._outcome)

    def _write_instrument(
        self, connection: reads.Connection, days: Sequence[FetchedDay]
    ) -> list[DayProof]:
        name = days[0].instrument_name
        wanted = {day.day for day in days}
        former = {
            proof.day: proof
            for proof in reads.proofs(
                connection,
                instrument_names=[name],
                resolution=self._resolution,
                first=min(wanted),
                last=max(wanted),
            )
            if proof.day in wanted
        }
        proved = []
        for day in days:
            known = former.get(day.day)
            held = Candles.none()
            if known is not None and known.received:
                held = reads.candles(connection, name, self._resolution, day_window(day.day))
            proved.append(prove(day, held, known))
            self._outcome.candles += len(day.candles)
            self._outcome.revised += len(proved[-1].replaced)
        write_days(connection, proved, former, self._provenance)
        return [day.proof for day in proved]

    def _count(self) -> None:
        self._outcome.requests = self._sent() - self._requests_before
        self._outcome.seconds = time.monotonic() - self._began

    def _sent(self) -> int:
        return self._client.rpc.requests[CHART]


def _warn_of_clock(as_of: datetime | None) -> None:
    """Say when this machine's clock is wrong. Nothing depends on it: closed is what the exchange
    calls closed."""
    if as_of is None:
        return
    difference = datetime.now(UTC) - as_of
    if abs(difference) > _CLOCK_TOLERANCE:
        logger.warning(
            "This machine's clock differs from the exchange's by %.0f s; the exchange's is used",
            difference.total_seconds(),
        )


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
