"""One step of learning, one pass of validation."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from charlm.config import ModelConfig, TrainingConfig
from charlm.corpus.encoding import Corpus
from charlm.corpus.layout import Segments, Streams
from charlm.training.network import LanguageModel, RecurrentState
from charlm.training.optimization import build_optimizer

LONGEST_VALIDATION_WINDOW = 256  # tokens


class Learner:
    """A network, its optimizer and the streams that it reads, with the state carried along.

    All random numbers of a step come from (rng_seed, step) alone, so a step can be repeated.
    """

    def __init__(
        self,
        corpus: Corpus,
        model: ModelConfig,
        config: TrainingConfig,
        *,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        self._config = config
        self._device = device
        self._precision = precision
        self._tokenizer = corpus.tokenizer
        segments = Segments(corpus.validation.ids, corpus.tokenizer.start_id)
        self._validation = segments, segments.window_length(LONGEST_VALIDATION_WINDOW)
        self._streams = Streams(corpus.train.ids, config.batch_size, config.bptt_length)
        self._state: RecurrentState | None = None
        torch.manual_seed(config.rng_seed)
        self.network = LanguageModel(
            model, corpus.tokenizer.vocab_size, dropout=config.dropout or 0.0
        )
        counts = np.bincount(corpus.train.ids, minlength=corpus.tokenizer.vocab_size)
        self.network.initialise(counts)
        self.network.to(device)
        self._trained = [tensor for tensor in self.network.parameters() if tensor.requires_grad]
        self._optimizer = build_optimizer(self.network, config)

    def step(self, step: int, learning_rate: float) -> tuple[Tensor, Tensor]:
        """Learn from window `step`; steps are to be taken in order, from 0.

        Returns:
            The loss before the step in nats per token, and the norm of the gradient before
            clipping; both scalars, still on the device.
        """
        torch.manual_seed(_mixed(self._config.rng_seed, step))
        window = torch.from_numpy(self._streams.window(step)).to(self._device)
        inputs, targets = window[:, :-1].clone(), window[:, 1:]
        state = self._restart_some_streams(step, inputs)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self.network.train()
        self._optimizer.zero_grad(set_to_none=True)
        logits, state = self._forward(inputs, state)
        loss = cross_entropy(logits.flatten(0, 1), targets.reshape(-1))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._trained, self._config.max_gradient_norm)
        self._optimizer.step()
        # Keep the state's values but cut its history; otherwise backward() would run through
        # the whole text so far (truncated BPTT, Williams & Peng 1990).
        self._state = (state[0].detach().float(), state[1].detach().float())
        return loss.detach(), norm

    def validate(self) -> float:
        """Return the network's score of the validation text, in nats, summed over all tokens."""
        return math.fsum(self.validation_windows())

    def validation_windows(self) -> Iterator[float]:
        """Yield the nats of the validation text, window by window."""
        self.network.eval()
        state: RecurrentState | None = None
        segments, length = self._validation
        for inputs, targets, counts in segments.windows(length):
            with torch.no_grad():
                logits, state = self._forward(torch.from_numpy(inputs).to(self._device), state)
                surprisal = cross_entropy(
                    logits.flatten(0, 1),
                    torch.from_numpy(targets.reshape(-1)).to(self._device),
                    reduction="none",
                )
            yield float(surprisal.cpu().double()[torch.from_numpy(counts.reshape(-1))].sum())

    @property
    def validation_window_count(self) -> int:
        """Number of windows in one pass of validation."""
        segments, length = self._validation
        return sum(1 for _ in segments.windows(length))

    def _forward(
        self, inputs: Tensor, state: RecurrentState | None
    ) -> tuple[Tensor, RecurrentState]:
        with torch.autocast(
            self._device.type,
            dtype=self._precision,
            enabled=self._precision != torch.float32,
        ):
            logits, state = self.network(inputs, state)
        return logits.float(), state

    def _restart_some_streams(self, step: int, inputs: Tensor) -> RecurrentState | None:
        """Put a few streams, and all at first, back to the start of a text, in place.

        A network that only ever sees carried state can fall from the zero state into an
        attractor that it never leaves; every generated text and every scored line starts there.
        """
        start_id = self._tokenizer.start_id
        if self._state is None:
            inputs[:, 0] = start_id
            return None
        generator = np.random.default_rng([self._config.rng_seed, step])
        drawn = generator.random(len(inputs)) < self._config.restart_probability
        restarted = torch.from_numpy(drawn).to(self._device)
        inputs[restarted, 0] = start_id
        kept = (~restarted).float()[None, :, None]
        return self._state[0] * kept, self._state[1] * kept


def _mixed(rng_seed: int, step: int) -> int:
    """Return a 64-bit seed for (rng_seed, step)."""
    words = np.random.SeedSequence([rng_seed, step]).generate_state(1, np.uint64)
    return int(words[0])
