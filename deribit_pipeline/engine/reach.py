"""Which datasets and currencies are requested with the given settings."""

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset, Group
from deribit_pipeline.settings import Settings


def within_reach(settings: Settings) -> tuple[Dataset, ...]:
    """Every dataset; those of an account only if credentials are set."""
    return tuple(
        dataset
        for dataset in DATASETS.values()
        if dataset.group is not Group.ACCOUNT or settings.client_id
    )


def currencies_of(dataset: Dataset, settings: Settings) -> tuple[str, ...]:
    """The currencies of a dataset that are requested by default: what is recorded of one that is
    recorded; empty if its series are no currencies."""
    return settings.record_currencies if dataset.is_recorded else dataset.currencies
