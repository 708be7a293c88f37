"""The findings for one exchange as JSON for a bug report; contains no secrets."""

import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

from deribit_pipeline.assumptions.assumption import Finding, Response, Responses, Verdict, judged
from deribit_pipeline.assumptions.every_assumption import ASSUMPTIONS
from deribit_pipeline.assumptions.probe_requests import responses_of
from deribit_pipeline.domain.environment import Environment
from deribit_pipeline.opening import open_exchange
from deribit_pipeline.settings import Settings
from deribit_pipeline.version import __version__

# Seconds for which a failing request is retried: short, because the report is about the present.
_PATIENCE = 3.0

_LIBRARIES = ("httpx", "numpy", "orjson")


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict on every assumption. `as_of` is this machine's time."""

    environment: Environment
    source: str
    as_of: datetime
    findings: Sequence[Finding]
    responses: Responses

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """The number of assumptions by verdict."""
        return Counter(finding.verdict for finding in self.findings)

    @property
    def is_reached(self) -> bool:
        """Whether every request got a response."""
        return not any(response.is_unreachable for response in self.responses.by_name.values())

    def json(self) -> dict[str, object]:
        """The report as JSON: verdicts, requests, versions, environment and time."""
        return {
            "made_at": self.as_of.isoformat(timespec="seconds"),
            "environment": str(self.environment),
            "source": self.source,
            "versions": {
                "deribit-pipeline": __version__,
                "python": platform.python_version(),
                "platform": f"{sys.platform} {platform.machine()}",
                **{name: version(name) for name in _LIBRARIES},
            },
            "counts": {str(verdict): self.counts[verdict] for verdict in Verdict},
            "assumptions": [_finding(finding) for finding in self.findings],
            "requests": [
                _request(name, response) for name, response in self.responses.by_name.items()
            ],
            "not_requested": self.responses.absent,
        }


def report(settings: Settings) -> Report:
    """Test every assumption against the exchange in the settings, without credentials.

    Raises a DeribitError if the exchange does not respond at all.
    """
    anonymous = replace(settings, client_id=None, client_secret=None)
    with open_exchange(anonymous, _PATIENCE) as exchange:
        responses = exchange.run(responses_of(exchange))
    is_testnet = settings.environment is Environment.TESTNET
    return Report(
        settings.environment,
        settings.source,
        datetime.now(UTC),
        [judged(assumption, responses, is_testnet=is_testnet) for assumption in ASSUMPTIONS],
        responses,
    )


def _finding(finding: Finding) -> dict[str, object]:
    assumption = finding.assumption
    return {
        "id": assumption.id,
        "verdict": str(finding.verdict),
        "statement": assumption.statement,
        "known": str(assumption.known),
        "assumed": finding.assumed,
        "found": finding.found,
        "reason": finding.reason,
        "follows": assumption.follows,
    }


def _request(name: str, response: Response) -> dict[str, object]:
    outcome = response.failure or response.malformed or response.message
    return {
        "name": name,
        "host": response.host,
        "method": response.method,
        "params": response.params,
        "as_of": response.as_of.isoformat() if response.as_of else None,
        "error": response.code,
        "outcome": outcome or "a result",
    }
