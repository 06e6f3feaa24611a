"""SIGINT (Ctrl-C), SIGTERM and SIGHUP as a request to stop that long work checks between steps."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

SHOW_CURSOR = b"\x1b[?25h"
# Seconds that Python gets to handle a first and a second signal. It does so between two of its
# instructions, and a single call may train a vocabulary for minutes.
FIRST_GRACE, SECOND_GRACE = 2.0, 0.3
SAME_REQUEST = 0.1  # seconds in which a second signal is the same request: timeout(1) sends two


class Stop:
    """A request to stop, made by a signal.

    Attributes:
        signal: The number of the last signal; None before the first.
        exit_message: The line to print if the process has to exit in the middle of its work.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.exit_message = ""
        self._is_deferred = False
        self._first_time: float | None = None
        self._closed = threading.Event()

    def defer(self, exit_message: str) -> None:
        """From now on the first signal interrupts nothing; the work checks `is_requested`."""
        self.exit_message, self._is_deferred = exit_message, True

    def is_requested(self) -> bool:
        """Return whether a signal has come."""
        return self.signal is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Record a signal; raise KeyboardInterrupt unless it is the first and deferred."""
        del frame
        is_first = self._first_time is None
        self._first_time = self._first_time or time.monotonic()
        if not is_first and time.monotonic() - self._first_time < SAME_REQUEST:
            return
        self.signal = number
        if not (is_first and self._is_deferred):
            raise KeyboardInterrupt

    def watch(self, signals: int) -> None:
        """Exit if Python does not handle a signal in time. Files are written atomically.

        Args:
            signals: A file descriptor from which each signal's number is read, as one byte.
        """
        first_time: float | None = None
        for number in iter(lambda: os.read(signals, 1), b""):
            is_first = first_time is None
            first_time = first_time or time.monotonic()
            if not is_first and time.monotonic() - first_time < SAME_REQUEST:
                continue
            grace = FIRST_GRACE if is_first else SECOND_GRACE
            if not ((is_first and self._is_deferred) or self._closed.wait(grace)):
                message = f"{self.exit_message}\n" if self.exit_message else ""
                with contextlib.suppress(OSError):
                    os.write(2, SHOW_CURSOR * os.isatty(2) + message.encode())
                os._exit(128 + number[0])

    def close(self) -> None:
        """Let `watch` know that the work has ended."""
        self._closed.set()


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turn signals into a `Stop`; a signal that is ignored, as under nohup, stays ignored."""
    stop = Stop()
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    former_handlers = [signal.signal(number, stop.handle) for number in numbers]
    sys.unraisablehook = _print_unless_interrupted
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    former_descriptor = signal.set_wakeup_fd(writer)
    watcher = threading.Thread(target=stop.watch, args=(reader,), daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        stop.close()
        sys.unraisablehook = sys.__unraisablehook__
        signal.set_wakeup_fd(former_descriptor)
        for number, handler in zip(numbers, former_handlers, strict=True):
            signal.signal(number, handler)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _print_unless_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    """Print an error that cannot be raised, but no KeyboardInterrupt: `Stop.watch` handles it."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
