"""What one network reads: windows to learn from, in streams or items, and the held-out text."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charlm.cells import CELLS
from charlm.checkpoint import Arrays
from charlm.config import TrainingConfig
from charlm.corpus.batches import ExampleBatches, Streams
from charlm.corpus.encoding import Corpus
from charlm.corpus.shards import RunningText
from charlm.corpus.windows import Batch, Windows
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.hardware import autocast
from charlm.training.loss import Loss
from charlm.training.network import LanguageModel, RecurrentState
from charlm.training.scoring import batch_count, batch_nats
from charlm.training.state import damaged


def lay_out(
    corpus: Corpus, config: TrainingConfig, group: ProcessGroup = SINGLE_PROCESS
) -> Streams | ExampleBatches:
    """Return the streams or batches in which the training text is read: a process's own share."""
    boundary_id = corpus.tokenizer.boundary_id
    if isinstance(corpus.train, RunningText):
        return Streams(
            corpus.train,
            boundary_id,
            batch_size=config.batch_size,
            bptt_length=config.window_length,
            rng_seed=config.rng_seed,
            streams=group.shard(config.batch_size),
        )
    return ExampleBatches(
        corpus.train,
        corpus.config.task,
        boundary_id,
        positions=config.batch_size * config.window_length,
        rng_seed=config.rng_seed,
        rank=group.rank,
        world_size=group.world_size,
    )


class Reader:
    """A network of one direction, what it reads, and the state of streams carried along.

    Attributes:
        network: The network.
        validation_batch_count: Windows in one pass of validation, of the process that has most.
    """

    def __init__(
        self,
        network: LanguageModel,
        corpus: Corpus,
        config: TrainingConfig,
        device: torch.device,
        precision: torch.dtype,
        group: ProcessGroup,
    ) -> None:
        self.network, self._group = network, group
        self._device, self._precision = device, precision
        self._boundary_id = corpus.tokenizer.boundary_id
        self._layout = lay_out(corpus, config, group)
        self._batch_size = config.batch_size
        windows = Windows.for_scoring(
            network.config.task,
            corpus.validation.ids,
            corpus.validation.boundaries,
            self._boundary_id,
        )
        self._passages = windows.shard(group.rank, group.world_size)
        self.validation_batch_count = batch_count(windows.shard(0, group.world_size))
        self._state: RecurrentState | None = None

    def batch(self, step: int) -> Batch:
        """Return what is read in a step."""
        return self._layout.batch(step)

    def loss(self, window: Batch, loss: Loss, generator: np.random.Generator) -> Tensor:
        """Return the mean loss of a window, a scalar, and carry the state on."""
        inputs = torch.from_numpy(window.inputs).to(self._device)
        targets = torch.from_numpy(window.targets).to(self._device)
        state = self._carried_state(inputs) if self._layout.carries_state else None
        self.network.train()
        with autocast(self._device, self._precision):
            features, state = self.network.read(inputs, state)
            counted = features.flatten(0, 1), targets.flatten()
            if not window.is_scored.all():
                counts = torch.from_numpy(window.is_scored.reshape(-1)).to(self._device)
                counted = counted[0][counts], counted[1][counts]
            result = loss(self.network.output, *counted, generator)
        # Keep the state's values but cut its history; otherwise backward() would run through
        # the whole text so far (truncated BPTT, Williams & Peng 1990).
        self._state = [tuple(vector.detach().float() for vector in layer) for layer in state]
        return result

    def carried(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of the state that all streams carry on, by layer and number in it."""
        if self._state is None or not self._layout.carries_state:
            return {}
        return {
            f"{layer}.{number}": self._of_all_streams(vector.cpu().numpy())
            for layer, vectors in enumerate(self._state)
            for number, vector in enumerate(vectors)
        }

    def _of_all_streams(self, own: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors of all streams, shape (1, B, H), from those of this process."""
        shape = 1, -1, own.shape[-1]
        parts = [
            np.frombuffer(part, np.float32).reshape(shape)
            for part in self._group.all_gather(own.tobytes())
        ]
        return np.concatenate(parts, axis=1)

    def carry(self, arrays: Arrays) -> None:
        """Take over what `carried` returned.

        Raises:
            CheckpointError: If it is not of this network.
        """
        if not arrays:
            return
        config = self.network.config
        vectors = len(CELLS[config.cell].state)
        names = [[f"{layer}.{n}" for n in range(vectors)] for layer in range(config.num_layers)]
        wanted = (1, self._batch_size, config.hidden_size)
        if {n for layer in names for n in layer} != arrays.keys() or any(
            array.shape != wanted or not np.isfinite(array).all() for array in arrays.values()
        ):
            raise damaged("its recurrent state is not that of its network")
        own = self._group.shard(self._batch_size)
        self._state = [
            tuple(
                torch.from_numpy(arrays[name][:, own.start : own.stop].copy()).to(self._device)
                for name in layer
            )
            for layer in names
        ]

    def validation_batches(self) -> Iterator[tuple[float, int]]:
        """Yield nats and tokens of the validation text, window by window."""
        return batch_nats(self.network, self._passages, self._precision)

    def _carried_state(self, inputs: Tensor) -> RecurrentState | None:
        """Return the state of streams that read on; it is nothing where a boundary is read."""
        if self._state is None:
            return None
        reads_on = (inputs[:, 0] != self._boundary_id).float()[None, :, None]
        return [tuple(vector * reads_on for vector in layer) for layer in self._state]
