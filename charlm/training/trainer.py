"""One step of learning, one pass of validation."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from charlm.checkpoint import Arrays, Checkpoint
from charlm.config import ModelConfig, TrainingConfig
from charlm.corpus.encoding import Corpus
from charlm.corpus.windows import Batch
from charlm.parameters import BACKWARD, SHARED
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.data_loader import Reader
from charlm.training.embeddings import Embeddings
from charlm.training.loss import Loss
from charlm.training.network import LanguageModel
from charlm.training.optimizer import (
    MOMENTS,
    NEVER_NEGATIVE,
    build_optimizer,
    set_learning_rate,
)
from charlm.training.state import damaged


class Learner:
    """A network for each direction, their optimizer and what they read.

    All random numbers of a step come from (rng_seed, step) alone, and the number of the process, so
    a step can be repeated. Each of several processes reads its own streams or items, and learns
    from the gradient of all.
    """

    def __init__(
        self,
        corpus: Corpus,
        model: ModelConfig,
        config: TrainingConfig,
        *,
        device: torch.device,
        precision: torch.dtype,
        embeddings: Embeddings | None = None,
        start: Checkpoint | None = None,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self._config, self._directions, self._group = config, model.directions, group
        torch.manual_seed(config.rng_seed)
        token_counts = corpus.train.token_counts
        vocab_size = corpus.tokenizer.vocab_size
        self._readers: list[Reader] = []
        for direction in model.directions:
            network = LanguageModel(
                replace(model, direction=direction),
                vocab_size,
                dropout=config.dropout or 0.0,
                embedding=self._readers[0].network.embedding if self._readers else None,
            )
            network.initialise(
                token_counts,
                recurrent=config.initialisation,
                forget_bias=config.forget_bias,
            )
            if start is not None:
                network.load_arrays(start.for_direction(direction).arrays)
            text = corpus if direction == "forward" else corpus.mirrored()
            self._readers.append(Reader(network, text, config, device, precision, group))
        self.networks = nn.ModuleList(reader.network for reader in self._readers)
        if embeddings is not None:
            self._readers[0].network.take_embeddings(embeddings.ids, embeddings.vectors)
        self.networks.to(device)
        self._validated = corpus.validation.predictions * len(self._readers)  # tokens
        losses = _Losses(self._readers, Loss(token_counts[: model.outputs(vocab_size)]))
        self._losses: nn.Module = group.wrap_ddp(losses)
        self._trained = [tensor for tensor in self.networks.parameters() if tensor.requires_grad]
        self._optimizer = build_optimizer(self.networks, config)

    def step(self, step: int, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Learn from window `step`; steps are to be taken in order, from 0.

        Returns:
            The loss before the step in nats per token, in the mean over the directions: what its
            own tokens add to that of all processes; and the norm of the gradient of all before
            clipping. Both are scalars, still on the device.
        """
        key = [self._config.rng_seed, step] + [self._group.rank] * (self._group.rank > 0)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))
        generator = np.random.default_rng(key)
        windows = [reader.batch(step) for reader in self._readers]
        own = [int(window.is_scored.sum()) for window in windows]
        shares = [
            each / max(1.0, of_all)
            for each, of_all in zip(own, self._group.all_reduce(own), strict=True)
        ]
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._losses(windows, shares, generator)
        # Gradients are averaged over the processes, but losses add up to the mean over all tokens.
        torch.autograd.backward(loss * self._group.world_size)
        norm = self._clip()
        self._optimizer.step()
        return loss.detach() / len(windows), norm

    def _clip(self) -> Tensor:
        """Return the norm of the gradient, a scalar, and shorten it if it is too long."""
        norm = get_total_norm([t.grad for t in self._trained if t.grad is not None])
        longest = self._config.max_gradient_norm
        # To scale by 1 would be a pass over every gradient for nothing. To look first costs nothing
        # on a processor, and would make another device wait.
        if norm.device.type != "cpu" or norm > longest:
            clip_grads_with_norm_(self._trained, longest, norm)
        return norm

    def validate(self, give_up: Callable[[], bool] = lambda: False) -> float | None:
        """Return the score of the validation text, in nats, summed over all tokens.

        Of two directions it is the mean of their scores. `give_up` is asked between windows; where
        it says so, there is no score.
        """
        found: list[float] = []
        scored, has_given_up = 0, False
        for nats, tokens in self.validation_batches():
            has_given_up = give_up()
            if has_given_up:
                break
            found.append(nats)
            scored += tokens
        nats, of_all, abstentions = self._group.all_reduce([math.fsum(found), scored, has_given_up])
        if abstentions:
            return None
        if of_all != self._validated:
            raise RuntimeError(f"{of_all:,.0f} tokens were scored, not {self._validated:,}")
        return nats / len(self._readers)

    def validation_batches(self) -> Iterator[tuple[float, int]]:
        """Yield nats and tokens of the validation text, window by window, in each direction.

        Each of several processes has passages of its own.
        """
        return chain.from_iterable(reader.validation_batches() for reader in self._readers)

    @property
    def validation_batch_count(self) -> int:
        """Number of windows in one pass of validation, of the process that has most."""
        return sum(reader.validation_batch_count for reader in self._readers)

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of every parameter under its checkpoint name, float32."""
        first, *second = (reader.network.to_arrays() for reader in self._readers)
        own = {
            BACKWARD + name: array
            for arrays in second
            for name, array in arrays.items()
            if name != SHARED
        }
        return {**first, **own}

    def moments(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of all that the optimizer remembers, by what it is and of which tensor."""
        remembered = self._optimizer.state_dict()["state"]
        return {
            f"{what}.{name}": tensor.detach().float().cpu().numpy().copy()
            for number, name in enumerate(self._trained_names())
            for what, tensor in remembered.get(number, {}).items()
            if tensor is not None  # the momentum of an optimizer that has none
        }

    def carried(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of the recurrent states that streams carry on."""
        return {
            f"{direction}.{name}": array
            for direction, reader in zip(self._directions, self._readers, strict=True)
            for name, array in reader.carried().items()
        }

    def restore(self, network: Checkpoint, moments: Arrays, carried: Arrays) -> None:
        """Take over a network, and what `moments` and `carried` returned.

        Raises:
            CheckpointError: If they are not of this network and optimizer.
        """
        for direction, reader in zip(self._directions, self._readers, strict=True):
            reader.network.load_arrays(network.for_direction(direction).arrays)
            reader.carry(
                {
                    name.removeprefix(f"{direction}."): each
                    for name, each in carried.items()
                    if name.startswith(f"{direction}.")
                }
            )
        if moments:  # there are none before the first step, and of sgd without momentum
            self._remember(moments)

    def _remember(self, moments: Arrays) -> None:
        """Let the optimizer remember; its kernels trust shapes, so that nothing else may pass."""
        wanted = {
            f"{what}.{name}": () if what == "step" else tuple(tensor.shape)
            for name, tensor in zip(self._trained_names(), self._trained, strict=True)
            for what in MOMENTS[self._config.optimizer]
        }
        if {name: moment.shape for name, moment in moments.items()} != wanted:
            raise damaged(f"its moments are not those of {self._config.optimizer} for its network")
        for name, moment in moments.items():
            is_signed = name.partition(".")[0] not in NEVER_NEGATIVE
            if not np.isfinite(moment).all() or not (is_signed or (moment >= 0).all()):
                raise damaged(f"its {name[:60]} holds what no optimizer remembers")
        state = self._optimizer.state_dict()
        remembered = {
            number: {
                what: torch.from_numpy(moments[f"{what}.{name}"]).clone()
                for what in MOMENTS[self._config.optimizer]
            }
            for number, name in enumerate(self._trained_names())
        }
        self._optimizer.load_state_dict({**state, "state": remembered})

    def _trained_names(self) -> list[str]:
        """Return the names of the trained tensors, in the optimizer's order."""
        return [name for name, tensor in self.networks.named_parameters() if tensor.requires_grad]


class _Losses(nn.Module):
    """What a step reads in each direction → the sum of the mean losses, a scalar."""

    def __init__(self, readers: Sequence[Reader], loss: Loss) -> None:
        super().__init__()
        self.networks = nn.ModuleList(reader.network for reader in readers)
        self._readers, self._loss = readers, loss

    def forward(
        self, windows: Sequence[Batch], shares: Sequence[float], generator: np.random.Generator
    ) -> Tensor:
        """Return the sum, each loss times the share that these tokens are of all."""
        losses = [
            reader.loss(window, self._loss, generator) * share
            for reader, window, share in zip(self._readers, windows, shares, strict=True)
        ]
        return torch.stack(losses).sum()
