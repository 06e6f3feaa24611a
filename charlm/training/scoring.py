"""Text → the score that NumPy gives it, by the network that learns, on any device."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from charlm.checkpoint import Checkpoint
from charlm.corpus.windows import Windows
from charlm.errors import CheckpointError
from charlm.inference.runtime import LARGEST_ACTIVATION
from charlm.inference.scoring import Score, batched_rows, score_with
from charlm.training.hardware import autocast, exact_products, memory_errors
from charlm.training.network import LanguageModel, Output, RecurrentState, load_network

LONGEST_WINDOW = 64  # tokens; the features of longer ones fill memory


class Scorer:
    """A trained network on a device, which gives a text the score that NumPy gives it."""

    @memory_errors()
    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Take a model that reads in one direction.

        Raises:
            MemoryError: If the device has too little.
        """
        self._tokenizer = checkpoint.tokenizer
        self.network = load_network(checkpoint, device)
        if checkpoint.config.nonlinearity == "relu":
            for layer in self.network.recurrent:
                layer.register_forward_hook(_check_activations)

    @exact_products()
    @memory_errors()
    def score(self, text: str, *, name: str = "the text") -> Score:
        """Return what `charlm.inference.scoring.score_text` does, to 1e-4 nats a token.

        Raises:
            CorpusError: If the model is one of pairs and a line of `name` is none.
            CheckpointError: If what a ReLU says grows beyond what it may say.
            MemoryError: If the device has too little.
        """
        return score_with(
            lambda windows: (nats for nats, _ in batch_nats(self.network, windows.cut()[0])),
            self.network.config,
            self._tokenizer,
            text,
            name=name,
        )


def _check_activations(layer: nn.Module, inputs: object, outputs: tuple[Tensor, object]) -> None:
    """Raise CheckpointError where NumPy would cut a ReLU off, which PyTorch's layers cannot."""
    if not float(outputs[0].max()) <= LARGEST_ACTIVATION:  # nor is it a number, maybe
        raise CheckpointError(
            "the model grows beyond all bounds as it reads this text",
            hint="score it without --device",
        )


def batch_nats(
    network: LanguageModel, windows: Windows, precision: torch.dtype = torch.float32
) -> Iterator[tuple[float, int]]:
    """Yield −ln p of what is scored in some passages, in nats, and its tokens, window by window.

    Args:
        network: Of one direction, the passages'. Its dropout is turned off.
        windows: Read side by side, so long ones had better be cut.
        precision: Of the matrix products.
    """
    network.eval()
    device = network.device
    for chosen in windows.groups():
        state: RecurrentState | None = None
        for window in windows.select(chosen).batches(LONGEST_WINDOW):
            if state is not None:  # of the passages that go on
                rows = len(window.inputs)
                state = [
                    tuple(vector[:, :rows].contiguous() for vector in layer) for layer in state
                ]
            with torch.no_grad(), autocast(device, precision):
                features, state = network(torch.from_numpy(window.inputs).to(device), state)
                counts = torch.from_numpy(window.is_scored).to(device)
                targets = torch.from_numpy(window.targets).to(device)[counts]
                nats = _nats(network.output, features[counts], targets, windows.boundary_id)
            yield nats, len(targets)


def batch_count(windows: Windows) -> int:
    """Return how many windows `batch_nats` reads."""
    lengths = windows.stop - windows.begin
    return sum(-(-int(lengths[chosen].max()) // LONGEST_WINDOW) for chosen in windows.groups())


def _nats(output: Output, features: Tensor, targets: Tensor, vocab_size: int) -> float:
    """Return −ln p of the targets, summed; a few at a time, for their logits are many."""
    return math.fsum(
        float(
            cross_entropy(output(features[some]).float(), targets[some], reduction="none")
            .cpu()  # MPS has no float64
            .double()
            .sum()
        )
        for some in batched_rows(len(targets), vocab_size)
    )
