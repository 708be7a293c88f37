"""SIGINT and SIGTERM: end soon, in order, and say so."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds after which an interruption that nobody has caught is raised again.
_AGAIN = 1.0


class Interrupted(SystemExit):
    """The user, or whoever runs this process, wants it to end.

    An event loop lets a SystemExit through at once, and would keep any other for the end of a task
    that may be waiting for an answer.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"Interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the main thread at the first signal; later ones change nothing.

    What a signal's handler raises is lost where it comes in a destructor or a callback of the
    interpreter's own. So it is raised again, until `caught` says that it has arrived.
    """
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, _: FrameType | None) -> None:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)

        def again(*_: object) -> None:
            raise Interrupted(number)

        signal.signal(signal.SIGALRM, again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        raise Interrupted(number)

    former = {one: signal.getsignal(one) for one in (*signals, signal.SIGALRM)}
    for one in signals:
        signal.signal(one, interrupt)
    try:
        yield
    finally:
        caught()
        for one, handler in former.items():
            signal.signal(one, handler)


def caught() -> None:
    """An interruption has arrived where it is dealt with, and need not be raised again."""
    signal.setitimer(signal.ITIMER_REAL, 0)
