"""The rules of each dataset: the shared ones and the specific ones."""

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.engine.rules import shared_rules


def rules_of(dataset: Dataset) -> tuple[Rule, ...]:
    """The rules of a dataset."""
    together = [other for other in DATASETS.values() if other.table is dataset.table]
    return (*shared_rules(dataset, together), *dataset.rules)
