"""SIGINT and SIGTERM: end soon, in order, and say so."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds after which an interruption that nobody has caught is raised again.
_AGAIN = 1.0

# Seconds after which an import is looked at again.
_SOON = 0.05


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
    interpreter's own. So it is raised again, until `caught` says that it has arrived. An import is
    left to its end: a library that is stopped half-way may print what it likes.
    """
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)

        def arrive(_: int, frame: FrameType | None) -> None:
            is_importing = _is_importing(frame)
            signal.setitimer(signal.ITIMER_REAL, _SOON if is_importing else _AGAIN)
            if not is_importing:
                raise Interrupted(number)

        signal.signal(signal.SIGALRM, arrive)
        arrive(number, frame)

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


def _is_importing(frame: FrameType | None) -> bool:
    """Whether some module is being made at this moment."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
