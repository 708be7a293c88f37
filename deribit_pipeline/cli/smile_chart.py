"""The page of `chart --smile`."""

from datetime import UTC, datetime

from deribit_pipeline.datasets.book_summaries import BOOK_SUMMARIES
from deribit_pipeline.datasets.book_summaries.smile_reads import smiles_at
from deribit_pipeline.errors import InputError
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.reader.reader_arguments import instant
from deribit_pipeline.settings import Settings


def smile_page_of(currency: str, at: str | None, settings: Settings) -> str:
    """The page of the newest snapshot that was received by `at`, by default now. Raises InputError
    if there is none."""
    if currency not in BOOK_SUMMARIES.currencies:
        choices = ", ".join(BOOK_SUMMARIES.currencies)
        raise InputError(f"--smile must be one of {choices}, was {currency!r}.")
    moment = datetime.now(UTC) if at is None else instant(at, "--at")
    # Importing the library takes half a second: do it before the warehouse is opened.
    from deribit_pipeline.pages.smile_page import smile_page

    with warehouse_of(settings).reading() as connection:
        smiles = smiles_at(connection, currency, moment)
    if smiles is None or not smiles.expiries:
        raise InputError(
            f"{settings.warehouse} holds no snapshot of {currency} options that was received by "
            f"{moment:%Y-%m-%d %H:%M:%S} UTC: record some, and backfill book_summaries."
        )
    return smile_page(smiles, str(settings.warehouse))
