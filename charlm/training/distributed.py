"""Several processes that train one network, by PyTorch's engine for that.

gloo joins processors, nccl graphics cards (https://docs.pytorch.org/docs/stable/distributed.html).
Gradients go by `DistributedDataParallel`; whatever else is told is small, and goes by gloo.
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

CONNECTING = timedelta(minutes=2)  # that processes wait for one another at the start, at most
STEPPING = timedelta(minutes=10)  # that one may need longer for a step than another
WAITING = timedelta(hours=6)  # that one may learn a vocabulary, or save; who dies is missed at once
LOOPBACK = {"linux": "lo", "darwin": "lo0"}  # by which the processes of one machine talk
LOOKS = 0.02  # seconds from one look for the others to the next
# As gloo and nccl say that another process has gone, after the place of their code.
_GONE = re.compile(
    r"gloo|nccl|connection|peer|broken pipe|socket|timed out|TCPStore", re.IGNORECASE
)
_PLACE = re.compile(r"^\[[^]]*:\d+\] *")


class Processes(ProcessGroup):
    """The processes that torchrun has started, joined."""

    def __init__(self, process: Process, store: Store) -> None:
        """Join the others, whose addresses the store knows."""
        super().__init__(process)
        dist.init_process_group(
            "gloo",
            store=store,
            rank=process.rank,
            world_size=process.world_size,
            timeout=CONNECTING,
        )
        self._steps = {"cpu": dist.new_group(backend="gloo", timeout=STEPPING)}
        self._others = dist.new_group(backend="gloo", timeout=WAITING)
        self._now = 0.0
        self.sync_clock()

    @property
    def now(self) -> float:
        """Seconds of the first process's clock when all looked last."""
        return self._now

    def sync_clock(self) -> None:
        """Look at the clock with each process, however long one of them takes to come."""
        self._look(False, self._others)

    def any(self, wish: bool) -> bool:
        """Look at the clock with each process, and return whether one of them has a wish."""
        return self._look(wish, self._steps["cpu"])

    def _look(self, wish: bool, among: dist.ProcessGroup) -> bool:
        seconds = time.perf_counter() if self.process.is_first else 0.0
        self._now, wishes = _sums([seconds, float(wish)], among)
        return wishes > 0

    def all_reduce(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums, in float64, of the numbers of each process, all of which are at work."""
        return _sums(numbers, self._steps["cpu"])

    def broadcast(self, data: bytes) -> bytes:
        """Return to each process what the first one gave."""
        [length] = _sums([len(data) * self.process.is_first], self._others)
        found = _as_tensor(data, int(length))
        dist.broadcast(found, 0, group=self._others)
        return found.numpy().tobytes()[: int(length)]

    def all_gather(self, data: bytes) -> list[bytes]:
        """Return to each process what each gave, in the order of their ranks."""
        own = [len(data) * (rank == self.rank) for rank in range(self.world_size)]
        lengths = _sums(own, self._others)
        filled = _as_tensor(data, int(max(lengths)))
        found = [torch.empty_like(filled) for _ in lengths]
        dist.all_gather(found, filled, group=self._others)
        return [
            each.numpy().tobytes()[: int(length)]
            for each, length in zip(found, lengths, strict=True)
        ]

    def wrap_ddp(self, module: Any) -> Any:
        """Return a torch module like `module`, whose gradients are the mean over all processes."""
        kind = next(module.parameters()).device.type
        if kind not in self._steps:
            self._steps[kind] = dist.new_group(backend="nccl", timeout=STEPPING)
        # A process may have no use for an output, and does not have to wait for its gradient then.
        # Nor are buckets ever laid out anew, so a run that goes on adds up in the same order.
        return DistributedDataParallel(
            module,
            process_group=self._steps[kind],
            gradient_as_bucket_view=True,
            find_unused_parameters=True,
        )


def meet(process: Process) -> Store:
    """Return a store that this process and the others share, who are all of the same start.

    torchrun's own store outlives a restart, and what the dead have left there is not to be found;
    nor do the machines of a run count its restarts alike. So each process asks under a name that
    nobody has used, and it is one that lives which answers.

    Raises:
        TrainingError: If they do not meet.
    """
    host, port = (os.environ[name] for name in ADDRESS_VARIABLES)
    engine: Any = dist  # a module that has a class which its types leave out
    try:
        store: Store = engine.TCPStore(
            host,
            int(port),
            is_master=process.is_first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True",
            timeout=CONNECTING,
            use_libuv=os.environ.get("USE_LIBUV", str(int(sys.platform != "win32"))) == "1",
        )
        own = uuid.uuid4().hex
        if process.is_first:
            shared = PrefixStore(own, store)
            for rank in range(1, process.world_size):
                _answer(store, rank, own, shared)
            shared.set("all", "are there")
            return shared
        store.set(f"charlm/{process.rank}", own)
        shared = PrefixStore(store.get(f"charlm/answer/{own}").decode(), store)
        shared.set(str(process.rank), "is there")
        shared.set_timeout(2 * CONNECTING)  # so that it is the first process that gives up first
        shared.get("all")
        return shared
    except (RuntimeError, ValueError, OverflowError, TimeoutError) as error:
        raise TrainingError(
            f"process {process.rank} of {process.world_size} does not meet the others at "
            f"{host}:{port}: {_reason(error)}",
            hint="let each machine reach that address; if it is not torchrun that has started "
            f"this, unset {' '.join(RANK_VARIABLES)}",
        ) from None


def _answer(store: Store, rank: int, name: str, shared: Store) -> None:
    """Tell another process the name of what is shared, until it is there."""
    deadline = time.monotonic() + CONNECTING.total_seconds()
    while not shared.check([str(rank)]):
        if store.check([f"charlm/{rank}"]):  # by now, or by one that has died before
            store.set(f"charlm/answer/{store.get(f'charlm/{rank}').decode()}", name)
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {rank} did not come")
        time.sleep(LOOKS)


@contextlib.contextmanager
def joined(process: Process, store: Store) -> Iterator[ProcessGroup]:
    """Join the processes that have met at a store.

    Raises:
        TrainingError: If they cannot be joined, or one of them is lost.
    """
    if process.world_size == process.local_world_size and sys.platform in LOOPBACK:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    try:
        group = Processes(process, store)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"process {process.rank} of {process.world_size} cannot be joined with the others: "
            f"{_reason(error)}",
            hint="name the network interface by which they reach one another, for example "
            "GLOO_SOCKET_IFNAME=eth0 (of graphics cards NCCL_SOCKET_IFNAME, too)",
        ) from None
    try:
        yield group
        dist.destroy_process_group()
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not _GONE.search(str(error)):
            raise
        raise TrainingError(
            f"another process of the run has gone, or does not answer ({_reason(error)})",
            hint="go on from the last save with --resume; under torchrun --max-restarts N a run "
            "with --resume does so by itself",
        ) from None


def is_first_to_fail(store: Store, seconds: float) -> bool:
    """Return whether no other process asks this for some seconds; it is the one that tells."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if store.check(["failed"]):
                return False
            time.sleep(LOOKS)
        return store.add("failed", 1) == 1
    except RuntimeError:  # the store has gone, too
        return True


def _reason(error: Exception) -> str:
    """Return the first sentence of what PyTorch says of an error, without the place of its code."""
    line = str(error).strip().partition("\n")[0].partition(". ")[0]
    return _PLACE.sub("", line)[:200]


def _sums(numbers: Sequence[float], among: dist.ProcessGroup) -> list[float]:
    found = torch.tensor(numbers, dtype=torch.float64)
    dist.all_reduce(found, group=among)
    result: list[float] = found.tolist()
    return result


def _as_tensor(data: bytes, length: int) -> torch.Tensor:
    """Return bytes as a tensor, shape (length,) or (1,), filled up with zeros."""
    return torch.frombuffer(bytearray(data.ljust(max(1, length), b"\0")), dtype=torch.uint8)
