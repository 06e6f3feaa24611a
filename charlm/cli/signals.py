"""Ctrl-C and SIGTERM, turned into a question that long work asks itself."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Stop:
    """The signal that asked for the end of training, if any."""

    signal: int | None = None

    def is_wanted(self) -> bool:
        """Tell whether work should end."""
        return self.signal is not None

    def ask(self, signal_number: int, frame: FrameType | None) -> None:
        """Note that work should end; asked a second time, end it at once."""
        del frame
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal_number


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Let Ctrl-C and SIGTERM end training at the next step, with the best model kept."""
    stop = Stop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop.ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
