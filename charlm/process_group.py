"""The processes of a run: which of them this one is, and what they tell one another.

    torchrun --nproc-per-node 2 -m charlm train book.txt

starts the same command several times and tells each by its environment who it is
(https://docs.pytorch.org/docs/stable/elastic/run.html). A `ProcessGroup` answers what all
processes must answer alike: what time it is, whether to stop, how much a sum comes to. Here it is
one process, which answers itself; `training/distributed.py` has the one of several.
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import CheckpointError, ConfigError, TrainingError

NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")
CHUNK_BYTES = 1 << 22  # that are told at once


@dataclass(frozen=True, kw_only=True)
class Process:
    """One of the processes that torchrun has started.

    Attributes:
        rank: Its number among all.
        world_size: How many there are.
        local_rank: Its number among those of its machine.
        local_world_size: How many its machine has.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Process":
        """Return which process this is; without torchrun the only one.

        Raises:
            ConfigError: If torchrun's variables are there in part, or are no numbers of processes.
        """
        found = [name for name in NUMBERS if name in environment]
        if not found:
            return cls()
        missing = [name for name in NUMBERS + ADDRESS if name not in environment]
        if missing:
            raise ConfigError(
                f"{found[0]} is set, but {missing[0]} is not: this is half of what torchrun sets",
                hint=f"start it with torchrun --nproc-per-node N -m charlm train, or without "
                f"torchrun unset {' '.join(found)}",
            )
        numbers = []
        for name in NUMBERS:
            if not (environment[name].isascii() and environment[name].isdigit()):
                raise ConfigError(f"{name} is {environment[name]!r}, not a number of processes")
            numbers.append(int(environment[name]))
        rank, world_size, local_rank, local_world_size = numbers
        if not (rank < world_size and local_rank < local_world_size <= world_size):
            raise ConfigError(
                f"process {rank} of {world_size}, {local_rank} of {local_world_size} on its "
                "machine, cannot be: they count from 0",
                hint=f"let torchrun set {', '.join(NUMBERS)}",
            )
        return cls(
            rank=rank,
            world_size=world_size,
            local_rank=local_rank,
            local_world_size=local_world_size,
        )

    @property
    def is_first(self) -> bool:
        """Whether it is the one that speaks and writes."""
        return self.rank == 0


class ProcessGroup:
    """The processes of a run; this is one alone.

    What is said of "each" process here, all of them have to do, at the same place of their work:
    there they wait for one another.

    Attributes:
        process: Which of them this one is.
    """

    def __init__(self, process: Process | None = None) -> None:
        self.process = process or Process()

    @property
    def rank(self) -> int:
        """This process's number."""
        return self.process.rank

    @property
    def world_size(self) -> int:
        """How many there are."""
        return self.process.world_size

    @property
    def now(self) -> float:
        """Seconds of the run's clock, which is that of the first process when all looked last."""
        return time.perf_counter()

    def sync_clock(self) -> None:
        """Look at the clock with each process, however long one of them takes to come."""

    def any(self, wish: bool) -> bool:
        """Look at the clock with each process, and return whether one of them has a wish."""
        return wish

    def all_reduce(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums, in float64, of the numbers of each process, all of which are at work."""
        return list(numbers)

    def broadcast(self, data: bytes) -> bytes:
        """Return to each process what the first one gave."""
        return data

    def all_gather(self, data: bytes) -> list[bytes]:
        """Return to each process what each gave, in the order of their ranks."""
        return [data]

    def wrap_ddp(self, module: Any) -> Any:
        """Return a torch module like `module`, whose gradients are the mean over all processes."""
        return module

    def broadcast_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return to each process the numbers of the first."""
        return self.all_reduce([each if self.process.is_first else 0.0 for each in numbers])

    def shard(self, count: int) -> range:
        """Return which of so many things in a row are this process's: as many as the others'."""
        return range(
            count * self.rank // self.world_size, count * (self.rank + 1) // self.world_size
        )

    def read_once(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield to each process what the first reads; the others do not touch their `chunks`."""
        if self.world_size == 1:
            yield from chunks
        elif self.process.is_first:
            yield from map(self.broadcast, filter(None, chunks))
            self.broadcast(b"")
        else:
            yield from iter(lambda: self.broadcast(b""), b"")

    def require_same(
        self, data: bytes, what: str, *, hint: str = "give each machine the same files"
    ) -> None:
        """Compare data, which is that of `what` a process has, with what each process has.

        Raises:
            TrainingError: If one has other data than process 0; it says who.
        """
        of_first, *others = self.all_gather(data)
        for rank, each in enumerate(others, 1):
            if each != of_first:
                raise TrainingError(f"process {rank} has another {what} than process 0", hint=hint)

    @contextlib.contextmanager
    def shared_file(self, path: Path) -> Iterator[Path]:
        """Give each process a file as the first one has it: there itself, elsewhere a copy.

        Raises:
            CheckpointError: If the first process cannot read it.
        """
        if self.world_size == 1:
            yield path
            return
        with tempfile.TemporaryDirectory() as directory:
            copy = path if self.process.is_first else Path(directory) / path.name
            try:
                for chunk in self.read_once(_chunks_of(path)):
                    if copy != path:
                        with copy.open("ab") as file:
                            file.write(chunk)
            except OSError as error:
                raise CheckpointError(f"{copy} cannot be copied: {error.strerror}") from None
            yield copy


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")


SINGLE_PROCESS = ProcessGroup()
