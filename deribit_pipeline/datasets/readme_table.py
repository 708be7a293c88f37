"""The table of datasets in the README: `make docs` writes it there."""

import itertools
import re
import sys
from pathlib import Path

from deribit_pipeline.datasets.registry import ADDED, DATASETS
from deribit_pipeline.domain.dataset import Dataset

_HEAD = "| dataset | series | a day is complete when it has |\n|---|---|---|\n"


def markdown() -> str:
    """One row for each dataset of this package; datasets with equal entries share one."""
    own = [dataset for dataset in DATASETS.values() if dataset not in ADDED]
    return _HEAD + "".join(
        f"| {', '.join(dict.fromkeys(f'`{each.table.name}`' for each in alike))} | {entry[0]} "
        f"| {entry[1]} |\n"
        for entry, alike in itertools.groupby(own, _said)
    )


def _said(dataset: Dataset) -> tuple[str, str]:
    kind = "perpetual" if dataset.is_of_perpetuals else dataset.series.label
    return kind, dataset.proves


if __name__ == "__main__":
    path = Path(sys.argv[1])
    table = re.escape(_HEAD) + r"(?:\|.*\n)+"
    path.write_text(re.sub(table, lambda _: markdown(), path.read_text()))
