"""The torch modules for labels and tags: layers that read both ways, and an output of classes."""

import torch
from torch import Tensor

from charlm.config import ModelConfig
from charlm.training.encoder import read_both_ways
from charlm.training.network import RecurrentState, SavedNetwork

TAG_LENGTH = 3  # ids from the end of a token to the next one: a boundary, the tag, a boundary


class LabelNetwork(SavedNetwork):
    """Predict the label of a text from the last states of both directions (N-to-1)."""

    def __init__(self, config: ModelConfig, vocab_size: int, *, dropout: float = 0.0) -> None:
        super().__init__(config, vocab_size, dropout, None)
        self.encoder, self.encoder_reverse = self.layers_both_ways(config.embedding_size)
        self.output = self.new_output()

    def read(
        self, ids: Tensor, is_scored: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Return the features of whole texts, and no state.

        Args:
            ids: A boundary, the text, a boundary and the label, shape (B, T).
            is_scored: The position of the second boundary, shape (B, T). A row without it, whose
                text was cut, has no features.
            state: No state; whole texts are read.

        Returns:
            Shape (N, H), and no state.
        """
        del state
        lengths = (is_scored.int().argmax(dim=1) - 1).clamp(min=1)
        texts = ids[:, 1 : 1 + int(lengths.max())]
        features = self.dropout(self.embedding(texts))
        stacks = self.encoder, self.encoder_reverse
        _, last = read_both_ways(*stacks, features, lengths, self.dropout)
        return self.dropout(last[:, None])[:, 0][is_scored.any(dim=1)], []


class TagNetwork(SavedNetwork):
    """Predict the tag of each token of a sentence from both sides (N-to-N).

    The vector of a token is read from its characters, both ways (Ling et al. 2015,
    https://arxiv.org/abs/1508.02096). So a token that was never seen has one, too.
    """

    def __init__(self, config: ModelConfig, vocab_size: int, *, dropout: float = 0.0) -> None:
        super().__init__(config, vocab_size, dropout, None)
        self.characters, self.characters_reverse = (
            self.layers(config.embedding_size, config.character_size, 0, num_layers=1)
            for _ in range(2)
        )
        self.encoder, self.encoder_reverse = self.layers_both_ways(2 * config.character_size)
        self.output = self.new_output()

    def read(
        self, ids: Tensor, is_scored: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Return the features of all tokens of whole sentences, and no state.

        Args:
            ids: A boundary; and for each token its characters, a boundary, the tag and a boundary.
                Shape (B, T).
            is_scored: The boundary after each token, shape (B, T).
            state: No state; whole sentences are read.

        Returns:
            Shape (N, H), and no state.
        """
        del state
        rows, ends = is_scored.nonzero(as_tuple=True)  # of each token
        if not len(rows):  # of a process without a sentence in this step
            return self.output.matrix[:0], []
        begins = torch.ones_like(ends)
        is_next = rows[1:] == rows[:-1]
        begins[1:][is_next] = ends[:-1][is_next] + TAG_LENGTH
        lengths = (ends - begins).clamp(min=1)
        places = begins[:, None] + torch.arange(int(lengths.max()), device=ids.device)
        characters = ids[rows[:, None], places.clamp(max=ids.shape[1] - 1)]
        features = self.dropout(self.embedding(characters))
        stacks = self.characters, self.characters_reverse
        _, vectors = read_both_ways(*stacks, features, lengths, self.dropout)
        counts = is_scored.sum(dim=1)
        is_token = torch.arange(int(counts.max()), device=ids.device) < counts[:, None]
        tokens = vectors.new_zeros(*is_token.shape, vectors.shape[-1])
        tokens[is_token] = vectors
        stacks = self.encoder, self.encoder_reverse
        lengths = counts.clamp(min=1)
        states, _ = read_both_ways(*stacks, self.dropout(tokens), lengths, self.dropout)
        return states[is_token], []
