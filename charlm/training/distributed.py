"""Several processes that train one network, with torch.distributed.

The backend is gloo for CPUs and nccl for GPUs
(https://docs.pytorch.org/docs/stable/distributed.html). `DistributedDataParallel` averages the
gradients. All other data is small, and uses gloo.
"""

import contextlib
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.nn.parallel import DistributedDataParallel

from charlm.errors import TrainingError
from charlm.process_group import ADDRESS_VARIABLES, RANK_VARIABLES, Process, ProcessGroup

# Timeouts. A process that hangs in a step ends the run after minutes, but one may train a tokenizer
# or save for hours. The death of a process is noticed at once.
CONNECT_TIMEOUT = timedelta(minutes=2)
STEP_TIMEOUT = timedelta(minutes=10)
LONG_TIMEOUT = timedelta(hours=6)
LOOPBACK = {"linux": "lo", "darwin": "lo0"}  # network interface of processes on one machine
POLL_INTERVAL = 0.02  # seconds
# Errors of gloo and nccl when another process has ended, and the source location before them.
_PROCESS_LOST = re.compile(
    r"gloo|nccl|connection|peer|broken pipe|socket|timed out|TCPStore", re.IGNORECASE
)
_SOURCE_LOCATION = re.compile(r"^\[[^]]*:\d+\] *")


class TorchProcessGroup(ProcessGroup):
    """A group of several processes."""

    def __init__(self, process: Process, store: Store) -> None:
        """Connect to the other processes through the store."""
        super().__init__(process)
        dist.init_process_group(
            "gloo",
            store=store,
            rank=process.rank,
            world_size=process.world_size,
            timeout=CONNECT_TIMEOUT,
        )
        self._step_groups = {"cpu": dist.new_group(backend="gloo", timeout=STEP_TIMEOUT)}
        self._long_group = dist.new_group(backend="gloo", timeout=LONG_TIMEOUT)
        self._now = 0.0
        self.sync_clock()

    @property
    def now(self) -> float:
        """Seconds of rank 0's clock at the last `sync_clock` or `any`."""
        return self._now

    def sync_clock(self) -> None:
        """Set `now` to rank 0's clock in every process. Waits for the slowest process."""
        self._sync(False, self._long_group)

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true in any process. Syncs the clock, too."""
        return self._sync(flag, self._step_groups["cpu"])

    def _sync(self, flag: bool, torch_group: dist.ProcessGroup) -> bool:
        seconds = time.perf_counter() if self.process.is_first else 0.0
        self._now, flags = _sums([seconds, float(flag)], torch_group)
        return flags > 0

    def all_reduce(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum of each number over all processes, in float64."""
        return _sums(numbers, self._step_groups["cpu"])

    def broadcast(self, data: bytes) -> bytes:
        """Return the `data` of rank 0 in every process."""
        [length] = _sums([len(data) * self.process.is_first], self._long_group)
        tensor = _as_tensor(data, int(length))
        dist.broadcast(tensor, 0, group=self._long_group)
        return tensor.numpy().tobytes()[: int(length)]

    def all_gather(self, data: bytes) -> list[bytes]:
        """Return the `data` of every process, in the order of ranks."""
        own_length = [len(data) * (rank == self.rank) for rank in range(self.world_size)]
        lengths = _sums(own_length, self._long_group)
        padded = _as_tensor(data, int(max(lengths)))
        tensors = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(tensors, padded, group=self._long_group)
        return [
            tensor.numpy().tobytes()[: int(length)]
            for tensor, length in zip(tensors, lengths, strict=True)
        ]

    def wrap_ddp(self, module: Any) -> Any:
        """Wrap a torch module so that its gradients are the mean over all processes."""
        kind = next(module.parameters()).device.type
        if kind not in self._step_groups:
            self._step_groups[kind] = dist.new_group(backend="nccl", timeout=STEP_TIMEOUT)
        # find_unused_parameters has two uses. A process may leave the output unused in a step. And
        # DDP does not rebuild its buckets after the first step, so a resumed run sums in the same
        # order.
        return DistributedDataParallel(
            module,
            process_group=self._step_groups[kind],
            gradient_as_bucket_view=True,
            find_unused_parameters=True,
        )


def shared_store(process: Process) -> Store:
    """Return a key-value store shared by the processes that started together.

    torchrun's store survives a restart and keeps entries of dead processes, and machines may count
    restarts differently. So each process asks rank 0 under a new random name, and rank 0 answers
    with the name of a new part of the store. Only a living process can answer.

    Raises:
        TrainingError: If a process cannot be reached in time.
    """
    host, port = (os.environ[name] for name in ADDRESS_VARIABLES)
    engine: Any = dist  # its type stubs lack TCPStore
    try:
        store: Store = engine.TCPStore(
            host,
            int(port),
            is_master=process.is_first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
            timeout=CONNECT_TIMEOUT,
            use_libuv=os.environ.get("USE_LIBUV", str(int(sys.platform != "win32"))) == "1",
        )
        name = uuid.uuid4().hex
        if process.is_first:
            shared = PrefixStore(name, store)
            for rank in range(1, process.world_size):
                _answer(store, rank, name, shared)
            shared.set("all", "present")
            return shared
        store.set(f"charlm/{process.rank}", name)
        shared = PrefixStore(store.get(f"charlm/answer/{name}").decode(), store)
        shared.set(str(process.rank), "present")
        shared.set_timeout(
            2 * CONNECT_TIMEOUT
        )  # longer than that of rank 0, which then reports the error
        shared.get("all")
        return shared
    except (RuntimeError, ValueError, OverflowError, TimeoutError) as error:
        raise TrainingError(
            f"process {process.rank} of {process.world_size} cannot reach the others at "
            f"{host}:{port}: {_reason(error)}",
            hint="make that address reachable from each machine; without torchrun, "
            f"unset {' '.join(RANK_VARIABLES)}",
        ) from None


def _answer(store: Store, rank: int, name: str, shared: Store) -> None:
    """Send another process the name of the shared store, until it has joined."""
    deadline = time.monotonic() + CONNECT_TIMEOUT.total_seconds()
    while not shared.check([str(rank)]):
        if store.check([f"charlm/{rank}"]):  # maybe from a process that has died
            store.set(f"charlm/answer/{store.get(f'charlm/{rank}').decode()}", name)
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {rank} did not answer")
        time.sleep(POLL_INTERVAL)


@contextlib.contextmanager
def joined(process: Process, store: Store) -> Iterator[ProcessGroup]:
    """Yield the group of the processes that share a store.

    Raises:
        TrainingError: If they cannot connect, or if one of them is lost.
    """
    if process.world_size == process.local_world_size and sys.platform in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    try:
        group = TorchProcessGroup(process, store)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"process {process.rank} of {process.world_size} cannot connect to the others: "
            f"{_reason(error)}",
            hint="set the network interface between the machines, for example "
            "GLOO_SOCKET_IFNAME=eth0 (with GPUs NCCL_SOCKET_IFNAME, too)",
        ) from None
    try:
        yield group
        dist.destroy_process_group()
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not _PROCESS_LOST.search(str(error)):
            raise
        raise TrainingError(
            f"another process of the run has ended or does not answer ({_reason(error)})",
            hint="continue from the last save with --resume; torchrun --max-restarts N restarts "
            "a run with --resume by itself",
        ) from None


def is_first_to_fail(store: Store, seconds: float) -> bool:
    """Return whether this process is the first to fail. Only that one prints its error.

    Waits up to `seconds` for another process to fail first.
    """
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if store.check(["failed"]):
                return False
            time.sleep(POLL_INTERVAL)
        return store.add("failed", 1) == 1
    except RuntimeError:  # the store has ended, too
        return True


def _reason(error: Exception) -> str:
    """Return the first sentence of PyTorch's message, without its source location."""
    line = str(error).strip().partition("\n")[0].partition(". ")[0]
    return _SOURCE_LOCATION.sub("", line)[:200]


def _sums(numbers: Sequence[float], torch_group: dist.ProcessGroup) -> list[float]:
    tensor = torch.tensor(numbers, dtype=torch.float64)
    dist.all_reduce(tensor, group=torch_group)
    sums: list[float] = tensor.tolist()
    return sums


def _as_tensor(data: bytes, length: int) -> torch.Tensor:
    """Return bytes as a tensor, shape (length,) or (1,), padded with zeros."""
    return torch.frombuffer(bytearray(data.ljust(max(1, length), b"\0")), dtype=torch.uint8)
