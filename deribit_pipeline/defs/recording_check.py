"""The check whether a recorder is running, on the assets whose rows are recorded."""

import dagster as dg

from deribit_pipeline.connectivity import recording
from deribit_pipeline.errors import DeribitPipelineError
from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.settings import Settings


def recording_check(settings: Settings, asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """The check `is_recording`: the newest record is at most two slots old."""

    @dg.asset_check(
        asset=asset,
        name="is_recording",
        description="A recorder runs, and its newest record is at most two slots old: what is not "
        "recorded now cannot be had later.",
    )
    def is_recording() -> dg.AssetCheckResult:
        spool = spool_of(settings)
        try:
            if not spool.exists():
                raise DeribitPipelineError(
                    f"nothing was ever recorded into {spool}: let `deribit-pipeline record` run"
                )
            return dg.AssetCheckResult(passed=True, description=recording(spool))
        except DeribitPipelineError as error:
            return dg.AssetCheckResult(
                passed=False, description=str(error), severity=dg.AssetCheckSeverity.WARN
            )

    return is_recording
