"""The torch module for pairs: an encoder that reads both ways, and a decoder with attention."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from charlm.cells import CELLS
from charlm.config import ModelConfig
from charlm.parameters import LARGEST_COPY, MASKED, state_count
from charlm.training.encoder import read_both_ways
from charlm.training.network import RecurrentState, SavedNetwork, read_layers


class Attention(nn.Module):
    """Attention to the states of a source (Luong et al. 2015, https://arxiv.org/abs/1508.04025).

        a = softmax(h W s)        over all states s, by the general score (equation 8)
        h' = tanh(C [Σ a s; h] + b)                                     (equation 5)

    Where the output matrix is the embedding, the embeddings e of the source are attended to as the
    states are, and added to what the output matrix reads. That raises the logit of a token that
    stands at a place with a large a, so the decoder can copy it:

        k = LARGEST_COPY · σ(w h' + b)
        logits = E (P h' + k Σ a e)         E: the embedding, P: the projection to its size

    The gate is that of See et al. 2017 (https://arxiv.org/abs/1704.04368), which mixes
    probabilities.
    """

    def __init__(self, hidden_size: int, *, copies: bool) -> None:
        super().__init__()
        self.copy_weight: nn.Parameter | None = None
        if copies:
            self.copy_weight = nn.Parameter(torch.zeros(hidden_size))
            self.copy_bias = nn.Parameter(torch.zeros(1))
        self.query = nn.Parameter(nn.Linear(hidden_size, hidden_size, bias=False).weight)
        self.combination = nn.Parameter(nn.Linear(2 * hidden_size, hidden_size, bias=False).weight)
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(
        self, hidden: Tensor, states: Tensor, embeddings: Tensor, is_source: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return h', shape (B, T, H), and what is copied, k Σ a e, shape (B, T, E).

        Args:
            hidden: Outputs of the decoder, shape (B, T, H).
            states: States of the encoder, shape (B, S, H).
            embeddings: Of the source, shape (B, S, E).
            is_source: Which positions are of the source, shape (B, S).
        """
        scores = linear(hidden, self.query) @ states.transpose(1, 2)
        weights = scores.float().masked_fill(~is_source[:, None], MASKED).softmax(dim=-1)
        weights = weights.to(states.dtype)
        both = torch.cat([weights @ states, hidden], dim=-1)
        attended = torch.tanh(linear(both, self.combination, self.bias))
        if self.copy_weight is None:
            return attended, None
        gate = torch.sigmoid(attended @ self.copy_weight + self.copy_bias)[..., None]
        return attended, LARGEST_COPY * gate * (weights @ embeddings)


class EncoderDecoder(SavedNetwork):
    """Predict each token of a target from its source and the tokens before it.

    The last states of the encoder are the context vector, of which the bridge makes the first state
    of the decoder (Cho et al. 2014, https://arxiv.org/abs/1406.1078). With attention, each step of
    the decoder looks at all states of the source.
    """

    def __init__(self, config: ModelConfig, vocab_size: int, *, dropout: float = 0.0) -> None:
        super().__init__(config, vocab_size, dropout, None)
        self.encoder, self.encoder_reverse = self.layers_both_ways(config.embedding_size)
        self.bridge = nn.Linear(config.hidden_size, state_count(config) * config.hidden_size)
        self.recurrent = self.layers(config.embedding_size, config.hidden_size, config.hidden_size)
        self.attention: Attention | None = None
        if config.encoder == "attention":
            self.attention = Attention(config.hidden_size, copies=config.copies)
        self.output = self.new_output()

    def read(
        self, ids: Tensor, is_scored: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Return the features of the scored positions of whole pairs, row by row.

        Args:
            ids: A boundary, the source, a boundary and the target, shape (B, T).
            is_scored: The positions from the second boundary on, shape (B, T). A row without any,
                whose source was cut, has no features.
            state: No state; whole pairs are read.

        Returns:
            Shape (N, H), and no state.
        """
        del state
        begins = is_scored.int().argmax(dim=1)  # of the targets
        counts = is_scored.sum(dim=1)
        lengths = (begins - 1).clamp(min=1)  # of the sources
        positions = torch.arange(ids.shape[1], device=ids.device)
        sources = ids[:, 1 : 1 + int(lengths.max())]
        states, last = read_both_ways(
            self.encoder,
            self.encoder_reverse,
            self.dropout(self.embedding(sources)),
            lengths,
            self.dropout,
        )
        steps = positions[: max(1, int(counts.max()))]
        places = (begins[:, None] + steps).clamp(max=ids.shape[1] - 1)
        features = self.dropout(self.embedding(ids.gather(1, places)))
        features, _ = read_layers(
            self.recurrent, features, self._first_state(last), self.dropout, self.config.residual
        )
        if self.attention is not None:
            is_source = positions[: sources.shape[1]] < lengths[:, None]
            attended, copied = self.attention(features, states, self.embedding(sources), is_source)
            features = self.dropout(attended)
            if copied is not None:
                features = torch.cat([features, copied], dim=-1)
        return features[steps < counts[:, None]], []

    def _first_state(self, last: Tensor) -> RecurrentState:
        """Return the first state of the decoder, given the context vector, shape (B, H)."""
        first = torch.tanh(self.bridge(last))
        vectors = torch.split(first, self.config.hidden_size, dim=-1)
        state = [vector[None].contiguous() for vector in vectors]
        size = len(CELLS[self.config.cell].state)
        return [tuple(state[start : start + size]) for start in range(0, len(state), size)]
