"""The torch module: embedding, stacked LSTM, linear layer."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charlm.checkpoint import Arrays
from charlm.config import ModelConfig, parameters

RecurrentState = tuple[Tensor, Tensor]  # (hidden, cell), each (num_layers, B, H)


class LockedDropout(nn.Module):
    """Dropout that silences the same units of a stream at every position of a window.

    Gal & Ghahramani 2016, https://arxiv.org/abs/1512.05287. Beside dropout that is drawn anew at
    each position it scores the same on the ferry tales, and drawing T times fewer numbers makes a
    step some 10 % faster.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, features: Tensor) -> Tensor:
        """Return `features`, shape (B, T, ·), with some units zero and the others scaled up."""
        if not self.training or self.probability == 0:
            return features
        kept = torch.empty_like(features[:, :1]).bernoulli_(1 - self.probability)
        return features * kept / (1 - self.probability)


class LanguageModel(nn.Module):
    """Predict each token from all tokens before it.

    The embedding has a last row for the start of a text. PyTorch adds two bias vectors to the
    gates; the second is held at zero, so that parameters count as in textbooks.

    Dropout falls on the embedding, between layers and before the output (Zaremba et al. 2014,
    https://arxiv.org/abs/1409.2329).
    """

    def __init__(self, config: ModelConfig, vocab_size: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size + 1, config.embedding_size)
        self.recurrent = nn.LSTM(
            config.embedding_size,
            config.hidden_size,
            config.num_layers,
            batch_first=True,
            dropout=dropout if config.num_layers > 1 else 0.0,
        )
        self.dropout = LockedDropout(dropout)
        self.output = nn.Linear(config.hidden_size, vocab_size)
        for layer in range(config.num_layers):
            unused = getattr(self.recurrent, f"bias_hh_l{layer}")
            nn.init.zeros_(unused)
            unused.requires_grad_(False)

    def forward(
        self, ids: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Score what follows each position of `ids`, continuing from `state`.

        Args:
            ids: Token ids in [0, V], V being the start of a text, shape (B, T), int64.
            state: (hidden, cell), each (num_layers, B, H) – batch second even though the LSTM
                is batch-first. None starts from zeros.

        Returns:
            Logits for the token after each position, shape (B, T, V), and the state after the
            last.
        """
        embedded = self.dropout(self.embedding(ids))  # (B, T, E)
        features, state = self.recurrent(embedded, state)  # (B, T, H)
        return self.output(self.dropout(features)), state

    def initialise(self, token_counts: NDArray[np.int64]) -> None:
        """Draw the initial weights from torch's global generator.

        Recurrent matrices are orthogonal, gate by gate (Saxe et al. 2014,
        https://arxiv.org/abs/1312.6120), forget-gate biases 1 (Gers et al. 2000, and
        Jozefowicz et al. 2015). The output bias is the log of the unigram distribution: with
        zeros, the first hundreds of steps go into pushing down the bytes that never occur.

        Args:
            token_counts: How often each token occurs in the training text, shape (V,).
        """
        hidden = self.config.hidden_size
        with torch.no_grad():
            for layer in range(self.config.num_layers):
                for gate in getattr(self.recurrent, f"weight_hh_l{layer}").split(hidden):
                    nn.init.orthogonal_(gate)
                bias = getattr(self.recurrent, f"bias_ih_l{layer}")
                bias.zero_()
                bias[hidden : 2 * hidden] = 1.0
            smoothed = torch.from_numpy(token_counts) + 1.0  # Laplace
            self.output.bias.copy_((smoothed / smoothed.sum()).log())

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of every parameter under its checkpoint name, float32."""
        return {
            name: tensor.detach().float().cpu().numpy().copy()
            for name, tensor in self._tensors().items()
        }

    def load_arrays(self, arrays: Arrays) -> None:
        """Take over parameters that `to_arrays` returned."""
        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(torch.from_numpy(arrays[name]))

    def _tensors(self) -> Mapping[str, Tensor]:
        """Return the trained tensors by checkpoint name, in the order of `parameters`."""
        named = dict(self.named_parameters())
        found: dict[str, Tensor] = {}
        for parameter in parameters(self.config, self.vocab_size):
            match parameter.name.split("."):
                case ["recurrent", layer, "bias"]:
                    found[parameter.name] = named[f"recurrent.bias_ih_l{layer}"]
                case ["recurrent", layer, matrix]:
                    found[parameter.name] = named[f"recurrent.{matrix}_l{layer}"]
                case _:
                    found[parameter.name] = named[parameter.name]
        return found
