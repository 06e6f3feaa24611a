"""Several processes that train one network, by PyTorch's engine for that.

gloo joins processors, nccl graphics cards (https://docs.pytorch.org/docs/stable/distributed.html).
Gradients go by `DistributedDataParallel`; whatever else is told is small, and goes by gloo.
"""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from charlm.config import Device
from charlm.distributed import Group, Process
from charlm.errors import CharlmError, TrainingError
from charlm.training.hardware import choose_device

CONNECTING = timedelta(minutes=2)  # that processes wait for one another at the start, at most
GRADIENTS = timedelta(minutes=10)  # that one may need longer for a step than another
WAITING = timedelta(hours=6)  # that one may learn a vocabulary, or save; who dies is missed at once
LOOPBACK = {"linux": "lo", "darwin": "lo0"}  # by which the processes of one machine talk
YIELDS = 0.5  # seconds in which the first process may tell what is everybody's error
LINGERS = 5.0  # seconds in which torchrun ends all others, once one has failed
# As gloo and nccl say that another process has gone.
_GONE = re.compile(
    r"gloo|nccl|connection|peer|broken pipe|socket|timed out|TCPStore", re.IGNORECASE
)


class Processes(Group):
    """The processes that torchrun has started, joined."""

    def __init__(self, process: Process, store: Store, device: torch.device) -> None:
        """Join the others, whose addresses the store knows; the device decides by what."""
        super().__init__(process)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=store,
            rank=process.rank,
            world_size=process.size,
            timeout=CONNECTING,
        )
        self._gradients = dist.new_group(timeout=GRADIENTS)
        self._control = dist.new_group(backend="gloo", timeout=WAITING)
        self._now = 0.0
        self.tick()

    @property
    def now(self) -> float:
        """Seconds of the first process's clock when all looked last."""
        return self._now

    def tick(self, wish: bool = False) -> bool:
        """Look at the clock with each process, and return whether one of them has a wish."""
        seconds = time.perf_counter() if self.process.is_first else 0.0
        self._now, wishes = self.total([seconds, float(wish)])
        return wishes > 0

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums, in float64, of the numbers of each process."""
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found, group=self._control)
        result: list[float] = found.tolist()
        return result

    def told(self, data: bytes) -> bytes:
        """Return to each process what the first one gave."""
        [length] = self.first([len(data)])
        found = _as_tensor(data, int(length))
        dist.broadcast(found, 0, group=self._control)
        return found.numpy().tobytes()[: int(length)]

    def gathered(self, data: bytes) -> list[bytes]:
        """Return to each process what each gave, in the order of their ranks."""
        lengths = self.total([len(data) * (rank == self.rank) for rank in range(self.size)])
        own = _as_tensor(data, int(max(lengths)))
        found = [torch.empty_like(own) for _ in lengths]
        dist.all_gather(found, own, group=self._control)
        return [
            each.numpy().tobytes()[: int(length)]
            for each, length in zip(found, lengths, strict=True)
        ]

    def averaging(self, module: Any) -> Any:
        """Return a torch module like `module`, whose gradients are the mean over all processes."""
        # A process may have no use for an output, and does not have to wait for its gradient then.
        # Nor are buckets ever laid out anew, so a run that goes on adds up in the same order.
        return DistributedDataParallel(
            module,
            process_group=self._gradients,
            gradient_as_bucket_view=True,
            find_unused_parameters=True,
        )


@contextlib.contextmanager
def joined(process: Process, device: Device) -> Iterator[Group]:
    """Join the processes of a run; what goes wrong in one ends all, and is told by one.

    Raises:
        CharlmError: What went wrong, in one of the processes alone.
        SystemExit: In the others.
    """
    if process.size == 1:
        yield Group(process)
        return
    store: Store | None = None
    try:
        try:
            own = choose_device(device, process)
            if process.size == process.local_size and sys.platform in LOOPBACK:
                os.environ.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
            met, *_ = next(iter(rendezvous("env://", timeout=CONNECTING)))
            # torchrun's store outlives restarts, and the dead have left their addresses there.
            attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
            store = PrefixStore(f"charlm/{attempt}/{process.size}", met)
            group = Processes(process, store, own)
        except (RuntimeError, ValueError) as error:
            raise _unreachable(process, error) from None
        yield group
        dist.destroy_process_group()
    except (CharlmError, RuntimeError) as error:
        known = error if isinstance(error, CharlmError) else _gone(error)
        if known is None:
            raise
        if not _is_mine_to_tell(store, process):
            time.sleep(LINGERS)
            raise SystemExit(1) from None
        known.rank = process.rank
        raise known from None


def _is_mine_to_tell(store: Store | None, process: Process) -> bool:
    """Return whether this is the process that tells of an error; no other will."""
    if not process.is_first:
        time.sleep(YIELDS)
    try:
        return store is None or store.add("errors", 1) == 1
    except RuntimeError:  # the store has gone, too
        return True


def _unreachable(process: Process, error: Exception) -> TrainingError:
    reason = str(error).strip().partition("\n")[0][:200]
    return TrainingError(
        f"process {process.rank} of {process.size} cannot be joined with the others: {reason}",
        hint="name the network interface by which they reach one another, for example "
        "GLOO_SOCKET_IFNAME=eth0 (of graphics cards NCCL_SOCKET_IFNAME, too)",
    )


def _gone(error: RuntimeError) -> TrainingError | None:
    """Return what it means if an error is that of a lost connection, else None."""
    if not isinstance(error, dist.DistError) and not _GONE.search(str(error)):
        return None
    return TrainingError(
        "another process of the run has gone, or does not answer",
        hint="--resume goes on from the last save; torchrun --max-restarts N does so by itself",
    )


def _as_tensor(data: bytes, length: int) -> torch.Tensor:
    """Return bytes as a tensor, shape (length,) or (1,), filled up with zeros."""
    return torch.frombuffer(bytearray(data.ljust(max(1, length), b"\0")), dtype=torch.uint8)
