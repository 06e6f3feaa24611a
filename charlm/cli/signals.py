"""Ctrl-C, SIGTERM and SIGHUP, turned into a question that long work asks itself."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

SHOW_CURSOR = b"\x1b[?25h"
# Seconds that Python gets to act on a signal, which it does between two of its instructions: one of
# them may learn a vocabulary for minutes.
PATIENCE, PATIENCE_WITH_SECOND = 2.0, 0.3
ECHO = 0.1  # seconds in which a second signal is the same wish: timeout(1) sends two


class Stop:
    """The signal that asked for the end of a run, if any.

    Attributes:
        signal: Its number.
        last_words: What is said if the process has to end in the middle of something.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.last_words = ""
        self._may_wait = False
        self._since: float | None = None
        self._left = threading.Event()

    def may_wait(self, last_words: str) -> None:
        """From now on a signal does not interrupt what is done, which asks `is_wanted` instead."""
        self.last_words, self._may_wait = last_words, True

    def is_wanted(self) -> bool:
        """Tell whether work should end."""
        return self.signal is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note that work should end; where it may not wait, or is asked again, end it at once."""
        del frame
        is_first = self._since is None
        self._since = self._since or time.monotonic()
        if not is_first and time.monotonic() - self._since < ECHO:
            return
        self.signal = number
        if not (is_first and self._may_wait):
            raise KeyboardInterrupt

    def watch(self, signals: int) -> None:
        """End the process if Python does not come to it; what is written atomically stays whole.

        Args:
            signals: The descriptor from which the number of each signal can be read, as a byte.
        """
        since: float | None = None
        for number in iter(lambda: os.read(signals, 1), b""):
            is_first = since is None
            since = since or time.monotonic()
            if not is_first and time.monotonic() - since < ECHO:
                continue
            patience = PATIENCE if is_first else PATIENCE_WITH_SECOND
            is_done = (is_first and self._may_wait) or self._left.wait(patience)
            if not is_done:
                words = f"{self.last_words}\n" if self.last_words else ""
                with contextlib.suppress(OSError):
                    os.write(2, SHOW_CURSOR * os.isatty(2) + words.encode())
                os._exit(128 + number[0])

    def leave(self) -> None:
        """Tell `watch` that whatever was asked for has been done."""
        self._left.set()


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Let signals end a run in good order; those that are ignored stay so, as under nohup."""
    stop = Stop()
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has two of them
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = [signal.signal(number, stop.handle) for number in numbers]
    sys.unraisablehook = _tell_unless_interrupted
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    former = signal.set_wakeup_fd(writer)
    watcher = threading.Thread(target=stop.watch, args=(reader,), daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        stop.leave()
        sys.unraisablehook = sys.__unraisablehook__
        signal.set_wakeup_fd(former)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _tell_unless_interrupted(what: "sys.UnraisableHookArgs") -> None:
    """Show what went wrong where nothing can be raised; a signal there is `Stop.watch`'s."""
    if not issubclass(what.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(what)
