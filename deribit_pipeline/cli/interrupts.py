"""SIGINT and SIGTERM: an orderly, prompt exit with a message."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds after which an interruption that was not caught is raised again.
_AGAIN = 1.0

# Seconds after which a running import is checked again.
_SOON = 0.05


class Interrupted(SystemExit):
    """A signal asked this process to end.

    It is a SystemExit because an event loop raises that at once; any other exception would be kept
    until the end of a task, which may be waiting for a response.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"Interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the main thread at the first signal; later signals are ignored.

    An exception raised by a signal handler inside a destructor or an interpreter callback is lost.
    So it is raised again until `caught` is called. An import is not interrupted: a half-imported
    library may print anything.
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
    """Stop raising the interruption again, because it is being handled."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
