"""The check whether a recorder is running, on the assets whose rows are recorded, and which of them
the recorder of the UI records."""

import dagster as dg

from deribit_pipeline.connectivity import recording
from deribit_pipeline.defs.schedules import is_kept, is_on_by_default
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.errors import DeribitPipelineError
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.recorder.recorder_loop import RECORDABLE
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool


def recording_check(
    settings: Settings, dataset: Dataset, asset: dg.AssetsDefinition | str
) -> dg.AssetChecksDefinition:
    """The check `is_recording`: the newest record of each stream of the dataset is recent.

    Of a dataset that has a history, it warns only if the spool has recordings: without a recorder
    everything is fetched.
    """

    @dg.asset_check(
        asset=asset,
        name="is_recording",
        description=f"A recorder runs, and its newest record is {_RECENT[dataset.is_recorded]}",
    )
    def is_recording() -> dg.AssetCheckResult:
        spool = spool_of(settings)
        try:
            if dataset.is_recorded or _has_recordings(spool, dataset):
                _require(spool)
                newest = recording(spool, [dataset.name])
                return dg.AssetCheckResult(passed=True, description=newest)
        except DeribitPipelineError as error:
            return dg.AssetCheckResult(
                passed=False, description=str(error), severity=dg.AssetCheckSeverity.WARN
            )
        return dg.AssetCheckResult(passed=True, description="nothing is recorded: it is fetched")

    return is_recording


def datasets_to_record(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """The datasets that have a recorder and a schedule that runs: without one, nothing takes the
    recordings in, and the spool grows."""
    groups = (PLAIN, *(group.name for group in settings.groups))
    return [
        dataset.name
        for dataset in RECORDABLE
        if any(
            is_kept(instance, dataset, group, is_on=is_on_by_default(settings, dataset))
            for group in groups
        )
    ]


_RECENT = {
    True: "at most two slots old: what is not recorded now cannot be had later.",
    False: "at most 90 s old: what is not recorded now is fetched later.",
}


def _has_recordings(spool: Spool, dataset: Dataset) -> bool:
    return any(stream.startswith(f"{dataset.name}/") for stream in spool.streams())


def _require(spool: Spool) -> None:
    if not spool.exists():
        raise DeribitPipelineError(
            f"nothing was ever recorded into {spool}: let `deribit-pipeline record` run"
        )
