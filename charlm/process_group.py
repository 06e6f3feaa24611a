"""The processes of a training run: this one's rank, and their collective operations.

    torchrun --nproc-per-node 2 -m charlm train book.txt

starts the same command several times. Environment variables give each process its rank
(https://docs.pytorch.org/docs/stable/elastic/run.html). `ProcessGroup` is a group of one process,
which needs no torch; `training/distributed.py` implements the same methods for several. So there
is one training loop, and nothing in it asks how many processes there are.
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

RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
ADDRESS_VARIABLES = ("MASTER_ADDR", "MASTER_PORT")
CHUNK_BYTES = 1 << 22  # of a file, in one broadcast


@dataclass(frozen=True, kw_only=True)
class Process:
    """The rank of one process, as torchrun sets it."""

    rank: int = 0  # its number among all processes, from 0
    world_size: int = 1  # the number of processes
    local_rank: int = 0  # its number among the processes of its machine, from 0
    local_world_size: int = 1  # the number of processes of its machine

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Process":
        """Return the process that torchrun's variables describe; without them, the only one.

        Raises:
            ConfigError: If some of the variables are missing, or their values are impossible.
        """
        present = [name for name in RANK_VARIABLES if name in environment]
        if not present:
            return cls()
        missing = [name for name in RANK_VARIABLES + ADDRESS_VARIABLES if name not in environment]
        if missing:
            raise ConfigError(
                f"{present[0]} is set, but {missing[0]} is not: torchrun sets both",
                hint=f"start it with torchrun --nproc-per-node N -m charlm train, or without "
                f"torchrun unset {' '.join(present)}",
            )
        for name in RANK_VARIABLES:
            if not (environment[name].isascii() and environment[name].isdigit()):
                raise ConfigError(f"{name} is {environment[name]!r}, not a number of processes")
        process = cls(**{name.lower(): int(environment[name]) for name in RANK_VARIABLES})
        if not (
            process.rank < process.world_size
            and process.local_rank < process.local_world_size <= process.world_size
        ):
            raise ConfigError(
                f"there is no process {process.rank} of {process.world_size}, "
                f"{process.local_rank} of {process.local_world_size} on its machine: "
                "ranks count from 0",
                hint=f"let torchrun set {', '.join(RANK_VARIABLES)}",
            )
        return process

    @property
    def is_first(self) -> bool:
        """Whether it has rank 0, which prints and writes files."""
        return self.rank == 0


class ProcessGroup:
    """A group of one process: the protocol of all groups, without torch.

    Every process must call each collective operation, in the same order. A call returns when all
    processes have made it.
    """

    def __init__(self, process: Process | None = None) -> None:
        self.process = process or Process()

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        return self.process.rank

    @property
    def world_size(self) -> int:
        """The number of processes."""
        return self.process.world_size

    @property
    def now(self) -> float:
        """Seconds of the run's clock: rank 0's clock at the last `sync_clock` or `any`.

        All processes see the same time. So a learning rate or a last step that follows from the
        time is the same in all of them.
        """
        return time.perf_counter()

    def sync_clock(self) -> None:
        """Set `now` to rank 0's clock in every process. Waits for the slowest process."""

    def any(self, flag: bool) -> bool:
        """All-reduce by OR: return whether `flag` is true in any process. Syncs the clock, too."""
        return flag

    def all_reduce(self, numbers: Sequence[float]) -> list[float]:
        """All-reduce by sum: return the sum of each number over all processes, in float64."""
        return list(numbers)

    def broadcast(self, data: bytes) -> bytes:
        """Broadcast: return the `data` of rank 0 in every process."""
        return data

    def all_gather(self, data: bytes) -> list[bytes]:
        """All-gather: return the `data` of every process, in the order of ranks."""
        return [data]

    def wrap_ddp(self, module: Any) -> Any:
        """Return `module` in DistributedDataParallel, which averages gradients by all-reduce."""
        return module

    def broadcast_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Broadcast: return the numbers of rank 0 in every process."""
        return self.all_reduce([number if self.process.is_first else 0.0 for number in numbers])

    def shard(self, count: int) -> range:
        """Return this process's share of `count` things in a row. Shares differ by 1 at most."""
        return range(
            count * self.rank // self.world_size, count * (self.rank + 1) // self.world_size
        )

    def read_once(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Broadcast chunk by chunk: yield rank 0's `chunks` in every process.

        Other processes do not read their own `chunks`.
        """
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
        """All-gather and compare: the `data` of `what` must be the same in every process.

        Raises:
            TrainingError: If a process has other data than rank 0; the message names it.
        """
        first, *others = self.all_gather(data)
        for rank, other in enumerate(others, 1):
            if other != first:
                raise TrainingError(
                    f"process {rank} has a different {what} from process 0", hint=hint
                )

    @contextlib.contextmanager
    def shared_file(self, path: Path) -> Iterator[Path]:
        """Broadcast a file: yield rank 0's `path` there, and a temporary copy elsewhere.

        Raises:
            CheckpointError: If rank 0 cannot read the file, or another cannot write the copy.
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
