"""What the tests of several datasets use."""

import pytest

from deribit_pipeline.exchange.session import spool_of
from deribit_pipeline.settings import Settings
from deribit_pipeline.spool.folder import Spool


@pytest.fixture
def spool(settings: Settings) -> Spool:
    """An empty spool."""
    spool = spool_of(settings)
    with spool.recording():
        pass
    return spool
