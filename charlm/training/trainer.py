"""One optimizer step, and one validation pass."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from charlm.cells import CELLS
from charlm.checkpoint import Checkpoint
from charlm.config import CLASS_TASKS, ModelConfig, TrainingConfig
from charlm.corpus.batches import ExampleBatches, Streams
from charlm.corpus.encoding import Corpus
from charlm.corpus.shards import RunningText
from charlm.corpus.windows import Windows, prefix_of
from charlm.parameters import BACKWARD, SHARED
from charlm.process_group import SINGLE_PROCESS, ProcessGroup
from charlm.training.embeddings import Embeddings
from charlm.training.loss import BatchLoss, Loss
from charlm.training.network import SavedNetwork
from charlm.training.networks import build_network
from charlm.training.optimizer import OPTIMIZER_STATE, build_optimizer, set_learning_rate
from charlm.training.scoring import BatchScore, batch_count, batch_nats
from charlm.training.state import TrainingState

Float32Arrays = dict[str, NDArray[np.float32]]


class Trainer:
    """The networks of all directions, their optimizer and their batches.

    The random numbers of a step follow from (rng_seed, step, rank) alone, so that a step can be
    repeated. Each process reads its shard of a batch, and all use the gradient of the whole batch.

    A backward network is a forward network on the mirrored corpus. Networks of both directions
    share the embedding.

    Attributes:
        networks: One for each direction.
        validation_batch_count: Batches in a validation pass of rank 0, which has the most.
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
        """Build the networks, with initial weights or those of `start`, on a device."""
        self._config, self._directions, self._group = config, model.directions, group
        self._precision = precision
        corpora = [
            corpus if direction == "forward" else corpus.mirrored()
            for direction in model.directions
        ]
        self._networks = _networks(corpus, model, config, start)
        if embeddings is not None:
            self._networks[0].take_embeddings(embeddings.ids, embeddings.vectors)
        self.networks = nn.ModuleList(self._networks)
        self.networks.to(device)
        self._batches = [training_batches(text, config, group) for text in corpora]
        boundary_id = corpus.tokenizer.boundary_id
        windows = [
            Windows.for_scoring(
                model.task,
                text.ids,
                text.boundaries,
                boundary_id,
                prefix_of(corpus.tokenizer, replace(model, direction=direction)),
                predicts_end=model.predicts_end,
                first_class=corpus.tokenizer.first_symbol if model.is_of_classes else None,
            )
            for direction, text in zip(
                model.directions, (corpus.validation for corpus in corpora), strict=True
            )
        ]
        self._validation = [part.shard(group.rank, group.world_size) for part in windows]
        self.validation_batch_count = sum(
            batch_count(part.shard(0, group.world_size), model) for part in windows
        )
        self._validation_tokens = corpus.validation.predictions * len(corpora)
        self._batch_loss = BatchLoss(
            self._networks,
            Loss(output_counts(corpus, model)),
            boundary_id=boundary_id,
            carries_state=self._batches[0].carries_state,
            precision=precision,
        )
        self._ddp_loss: nn.Module = group.wrap_ddp(self._batch_loss)
        named = self.networks.named_parameters()
        self._trained = {name: tensor for name, tensor in named if tensor.requires_grad}
        self._optimizer = build_optimizer(self.networks, config)

    def step(self, step: int, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Train on the batch of a step. Steps must be taken in order, from 0.

        Returns:
            This process's share of the loss before the step, in nats per token, as the mean over
            the directions: the sum over all processes is the loss. And the norm of the whole
            gradient before clipping. Both are scalars, still on the device.
        """
        seed = [self._config.rng_seed, step] + [self._group.rank] * (self._group.rank > 0)
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
        generator = np.random.default_rng(seed)
        batches = [layout.batch(step) for layout in self._batches]
        tokens = [int(batch.is_scored.sum()) for batch in batches]
        all_tokens = self._group.all_reduce(tokens)
        # A batch without targets has a share of 0, so the shards of a step may differ in size.
        shares = [part / max(1.0, whole) for part, whole in zip(tokens, all_tokens, strict=True)]
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._ddp_loss(batches, shares, generator)
        # DDP averages gradients over the processes, but the shares of the loss are to be summed.
        torch.autograd.backward(loss * self._group.world_size)
        norm = self._clip_gradients()
        self._optimizer.step()
        return loss.detach() / len(batches), norm

    def _clip_gradients(self) -> Tensor:
        """Clip the gradient to the largest norm; return the norm before, a scalar."""
        tensors = list(self._trained.values())
        norm = get_total_norm([tensor.grad for tensor in tensors if tensor.grad is not None])
        max_norm = self._config.max_gradient_norm
        # Scaling by 1 would pass over every gradient for nothing. The comparison costs nothing on
        # a CPU, but would make another device wait.
        if norm.device.type != "cpu" or norm > max_norm:
            clip_grads_with_norm_(tensors, max_norm, norm)
        return norm

    def validate(self, give_up: Callable[[], bool] = lambda: False) -> tuple[float, int] | None:
        """Return the score of the validation text: nats over all tokens, and wrong predictions.

        Wrong predictions are only counted where an encoder reads a source. For two directions the
        nats are the mean of their scores. `give_up` is called after each batch; if it returns true
        in any process, there is no score.
        """
        nats: list[float] = []
        tokens, errors, has_given_up = 0, 0, False
        for score in self.validation_batches():
            has_given_up = give_up()
            if has_given_up:
                break
            nats.append(score.nats)
            tokens += score.tokens
            errors += score.errors
        shard = math.fsum(nats), tokens, errors, has_given_up
        total, all_tokens, all_errors, processes_without_score = self._group.all_reduce(shard)
        if processes_without_score:
            return None
        if all_tokens != self._validation_tokens:
            raise RuntimeError(f"{all_tokens:,.0f} tokens scored, not {self._validation_tokens:,}")
        return total / len(self._directions), round(all_errors)

    def validation_batches(self) -> Iterator[BatchScore]:
        """Yield the score of each batch of this process's validation windows."""
        return chain.from_iterable(
            batch_nats(network, windows, self._precision)
            for network, windows in zip(self._networks, self._validation, strict=True)
        )

    def to_arrays(self) -> Float32Arrays:
        """Return a copy of every parameter under its checkpoint name, float32."""
        arrays = self._networks[0].to_arrays()
        if len(self._directions) > 1:
            backward = self._networks[1].to_arrays()
            arrays |= {BACKWARD + name: backward[name] for name in backward if name != SHARED}
        return arrays

    def optimizer_state(self) -> Float32Arrays:
        """Return a copy of the optimizer state, by kind and parameter."""
        states = self._optimizer.state_dict()["state"]
        return {
            f"{kind}.{name}": tensor.detach().float().cpu().numpy().copy()
            for number, name in enumerate(self._trained)
            for kind, tensor in states.get(number, {}).items()
            if tensor is not None  # SGD without momentum
        }

    def recurrent_state(self) -> Float32Arrays:
        """Return a copy of the recurrent state of the streams of all processes, each (1, B, H)."""
        if not self._batch_loss.carries_state:
            return {}
        return {
            f"{direction}.{layer}.{number}": self._gather_streams(vector.cpu().numpy())
            for direction, state in zip(self._directions, self._batch_loss.states, strict=True)
            for layer, vectors in enumerate(state or [])
            for number, vector in enumerate(vectors)
        }

    def _gather_streams(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vectors of all streams, shape (1, B, H), from those of this process."""
        shape = 1, -1, vectors.shape[-1]
        shards = [
            np.frombuffer(data, np.float32).reshape(shape)
            for data in self._group.all_gather(vectors.tobytes())
        ]
        return np.concatenate(shards, axis=1)

    def load(self, checkpoint: Checkpoint) -> None:
        """Load the weights of a checkpoint of the same settings."""
        for direction, network in zip(self._directions, self._networks, strict=True):
            network.load_arrays(checkpoint.for_direction(direction).arrays)

    def restore(self, state: TrainingState) -> None:
        """Load the network, optimizer state and recurrent state of a run.

        Raises:
            CheckpointError: If the optimizer state is not that of this network and optimizer.
        """
        self.load(state.last)
        if state.recurrent_state:  # empty before the first step, and for lines and pairs
            self._restore_recurrent_state(state)
        if state.optimizer_state:  # empty before the first step, and for SGD without momentum
            self._restore_optimizer_state(state)

    def _restore_recurrent_state(self, state: TrainingState) -> None:
        """Load the recurrent state of this process's streams."""
        streams = self._group.shard(self._config.batch_size)
        vectors = {
            name: torch.from_numpy(array[:, streams.start : streams.stop].copy())
            for name, array in state.recurrent_state.items()
        }
        numbers = range(len(CELLS[state.model.cell].state))
        self._batch_loss.states = [
            [
                tuple(
                    vectors[f"{direction}.{layer}.{number}"].to(network.device)
                    for number in numbers
                )
                for layer in range(state.model.num_layers)
            ]
            for direction, network in zip(self._directions, self._networks, strict=True)
        ]

    def _restore_optimizer_state(self, state: TrainingState) -> None:
        """Load the optimizer state after checking every shape."""
        kinds = OPTIMIZER_STATE[self._config.optimizer]
        state.check_optimizer_state(
            {
                f"{kind}.{name}": () if kind == "step" else tuple(tensor.shape)
                for name, tensor in self._trained.items()
                for kind in kinds
            }
        )
        arrays = {
            number: {
                kind: torch.from_numpy(state.optimizer_state[f"{kind}.{name}"]).clone()
                for kind in kinds
            }
            for number, name in enumerate(self._trained)
        }
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": arrays})


def training_batches(
    corpus: Corpus, config: TrainingConfig, group: ProcessGroup = SINGLE_PROCESS
) -> Streams | ExampleBatches:
    """Return this process's shard of the training text, as streams or as batches of examples."""
    boundary_id = corpus.tokenizer.boundary_id
    if isinstance(corpus.train, RunningText):
        begins_after, predicts_end = corpus.config.begins_after, bool(corpus.config.predicts_end)
        mark = corpus.tokenizer.encode(begins_after or "")
        return Streams(
            corpus.train,
            boundary_id,
            batch_size=config.batch_size,
            bptt_length=config.window_length,
            rng_seed=config.rng_seed,
            streams=group.shard(config.batch_size),
            begins_after=(mark[::-1] if corpus.train.is_mirrored else mark)
            if begins_after or predicts_end
            else None,
            predicts_end=predicts_end,
        )
    return ExampleBatches(
        corpus.train,
        corpus.config.task,
        boundary_id,
        positions=config.batch_size * config.window_length,
        rng_seed=config.rng_seed,
        rank=group.rank,
        world_size=group.world_size,
        first_class=corpus.tokenizer.first_symbol if corpus.config.task in CLASS_TASKS else None,
    )


def output_counts(corpus: Corpus, model: ModelConfig) -> NDArray[np.int64]:
    """Return how often each output occurs in the training text, shape (outputs,)."""
    counts = corpus.train.token_counts
    if model.is_of_classes:
        counts = counts[corpus.tokenizer.first_symbol :]
    return counts[: model.outputs(corpus.tokenizer.vocab_size)]


def _networks(
    corpus: Corpus, model: ModelConfig, config: TrainingConfig, start: Checkpoint | None
) -> list[SavedNetwork]:
    """Return a network for each direction, with initial weights or those of `start`."""
    torch.manual_seed(config.rng_seed)
    networks: list[SavedNetwork] = []
    for direction in model.directions:
        network = build_network(
            replace(model, direction=direction),
            corpus.tokenizer.vocab_size,
            dropout=config.dropout or 0.0,
            embedding=networks[0].embedding if networks else None,
        )
        network.initialise(
            output_counts(corpus, model),
            recurrent=config.initialisation,
            forget_bias=config.forget_bias,
        )
        if start is not None:
            network.load_arrays(start.for_direction(direction).arrays)
        networks.append(network)
    return networks
