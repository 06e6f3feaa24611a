"""The torch module: embedding, recurrent layers, output."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from charlm.cells import CELLS
from charlm.checkpoint import Arrays, Checkpoint
from charlm.config import Initialisation, ModelConfig
from charlm.parameters import RECURRENT_STACKS, parameters
from charlm.training.recurrence import GRU, RNN

# Initial standard deviation of the input of an LSTM's gates. On tiny shakespeare, in nats per
# character: words 1.455 (1.485 with 1), characters 1.449 (1.445 with 1).
INPUT_START = 0.5

# Of each layer the vectors of `CELLS[cell].state`, each of shape (1, B, H).
RecurrentState = list[tuple[Tensor, ...]]


class LockedDropout(nn.Module):
    """Dropout that sets the same units of a stream to zero at every position of a window.

    Gal & Ghahramani 2016, https://arxiv.org/abs/1512.05287. Dropout that is drawn again at each
    position scores the same on the ferry tales. Drawing T times fewer numbers makes a step some
    10 % faster.
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


class Output(nn.Module):
    """Features → logits, of all outputs or of some.

    It has a matrix of its own, or uses that of the embedding (Press & Wolf 2017,
    https://arxiv.org/abs/1608.05859), with a projection before it where the sizes differ.
    """

    def __init__(self, config: ModelConfig, vocab_size: int, inputs: nn.Embedding) -> None:
        super().__init__()
        outputs = config.outputs(vocab_size)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.projection: nn.Parameter | None = None
        # In a tuple, so that this module does not register its weight, too.
        self._embedding = (inputs,) if config.tie_weights else ()
        self._copies = [config.hidden_size, config.embedding_size] if config.copies else None
        if not config.tie_weights:
            self.weight = nn.Parameter(nn.Linear(config.hidden_size, outputs, bias=False).weight)
        elif config.embedding_size != config.hidden_size:
            shape = config.hidden_size, config.embedding_size
            self.projection = nn.Parameter(nn.Linear(*shape, bias=False).weight)

    @property
    def matrix(self) -> Tensor:
        """The weights, one row per output. A tied matrix may have one more."""
        return self._embedding[0].weight if self._embedding else self.weight

    def forward(self, features: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Return logits.

        Args:
            features: Of the last layer, shape (…, H); with what is copied, (…, H + E).
            chosen: Ids of the outputs, shape (C,); None takes all.

        Returns:
            Shape (…, C), or (…, V), or (…, V + 1) where the boundary is predicted.
        """
        copied: Tensor | float = 0.0
        if self._copies is not None:
            features, copied = torch.split(features, self._copies, dim=-1)
        if self.projection is not None:
            features = linear(features, self.projection)
        features = features + copied
        if chosen is None:
            return linear(features, self.matrix[: len(self.bias)], self.bias)
        return linear(features, embedding(chosen, self.matrix), self.bias[chosen])


class SavedNetwork(nn.Module, ABC):
    """A network whose parameters are those of `charlm.parameters`; the base class of all.

    PyTorch adds two bias vectors to the gates. The second stays zero, so that the number of
    parameters is that of textbooks.

    Dropout falls on the embedding, between layers and before the output (Zaremba et al. 2014,
    https://arxiv.org/abs/1409.2329).
    """

    output: Output

    def __init__(
        self, config: ModelConfig, vocab_size: int, dropout: float, embedding: nn.Embedding | None
    ) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.embedding = embedding or _embedding(config, vocab_size)
        self.dropout = LockedDropout(dropout)

    @abstractmethod
    def read(
        self, ids: Tensor, is_scored: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Return the features of the scored positions, row by row, and the state.

        Args:
            ids: Token ids in [0, V], V being the boundary, shape (B, T), int64.
            is_scored: Which positions predict a token that is scored, shape (B, T).
            state: The state before the first position; None starts from zeros.

        Returns:
            Features, shape (N, H), from which `output` predicts, and the state after the last
            position.
        """

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.embedding.weight.device

    def new_output(self) -> Output:
        """Return the output of the network, whose initial weights are drawn last."""
        return Output(self.config, self.vocab_size, self.embedding)

    def layers_both_ways(self, input_size: int) -> tuple[nn.ModuleList, nn.ModuleList]:
        """Return the layers of an encoder: those that read forward, and those that read back."""
        sizes = input_size, self.config.encoder_size, self.config.hidden_size
        return self.layers(*sizes), self.layers(*sizes)

    def layers(
        self, input_size: int, hidden_size: int, between: int, num_layers: int | None = None
    ) -> nn.ModuleList:
        """Return a stack of recurrent layers, whose second bias stays zero.

        Args:
            input_size: Of the first layer.
            hidden_size: Units of a layer.
            between: Input size of the other layers.
            num_layers: Their number; None takes that of the config.
        """
        sizes = [input_size] + [between] * ((num_layers or self.config.num_layers) - 1)
        layers = [_layer(self.config, size, hidden_size) for size in sizes]
        for layer in layers:
            nn.init.zeros_(dict(layer.named_parameters())["bias_hh_l0"]).requires_grad_(False)
        return nn.ModuleList(layers)

    def initialise(
        self,
        output_counts: NDArray[np.int64],
        *,
        recurrent: Initialisation | None = None,
        forget_bias: float = 1.0,
    ) -> None:
        """Draw the initial weights from torch's global generator.

        The output bias is the log of the unigram distribution: with zeros, the first hundreds of
        steps lower the probability of bytes that never occur. The input of an LSTM's gates has a
        standard deviation of INPUT_START, whatever the sizes: tied embeddings are short vectors,
        and would otherwise have little effect. Other cells do not gain from it
        (benchmarks/README.md).

        Args:
            output_counts: How often each output occurs in the training text, shape (outputs,);
                more numbers are left out.
            recurrent: Recurrent matrix of each gate: orthogonal (Saxe et al. 2014,
                https://arxiv.org/abs/1312.6120), the identity (Le et al. 2015,
                https://arxiv.org/abs/1504.00941), or uniform within ±1/√H. None takes the
                identity for ReLU, else orthogonal ones.
            forget_bias: Of the LSTM. With 1 it keeps its cell at first (Gers et al. 2000,
                Jozefowicz et al. 2015).
        """
        gates = list(CELLS[self.config.cell].gates)
        if recurrent is None:
            recurrent = "identity" if self.config.nonlinearity == "relu" else "orthogonal"
        with torch.no_grad():
            tensors = self.tensors()
            stacks = [name.removesuffix(".weight_hh") for name in tensors if "weight_hh" in name]
            for prefix in stacks:
                matrix = tensors[f"{prefix}.weight_hh"]
                hidden = matrix.shape[1]
                for gate in torch.split(matrix, hidden):
                    match recurrent:
                        case "orthogonal":
                            nn.init.orthogonal_(gate)
                        case "identity":
                            nn.init.eye_(gate)
                        case "uniform":
                            nn.init.uniform_(gate, -(hidden**-0.5), hidden**-0.5)
                if prefix.endswith(".0") and self.config.cell == "lstm":
                    length = self.embedding.weight.square().sum(dim=1).mean().sqrt()
                    tensors[f"{prefix}.weight_ih"].normal_(std=INPUT_START / float(length))
                bias = tensors[f"{prefix}.bias"].zero_()
                if "forget" in gates:
                    torch.split(bias, hidden)[gates.index("forget")].fill_(forget_bias)
            smoothed = torch.from_numpy(output_counts[: len(self.output.bias)]) + 1.0  # Laplace
            self.output.bias.copy_((smoothed / smoothed.sum()).log())

    def take_embeddings(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Set some rows of the embedding to vectors, scaled to the mean length of its rows.

        Args:
            ids: Tokens, shape (N,).
            vectors: Shape (N, E).
        """
        with torch.no_grad():
            rows = self.embedding.weight
            length = np.linalg.norm(vectors, axis=1).mean()
            scale = float(rows.norm(dim=1).mean()) / max(float(length), 1e-12)
            rows[torch.from_numpy(ids)] = torch.from_numpy(vectors) * scale

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of every parameter under its checkpoint name, float32."""
        return {
            name: tensor.detach().float().cpu().numpy().copy()
            for name, tensor in self.tensors().items()
        }

    def load_arrays(self, arrays: Arrays) -> None:
        """Load parameters that `to_arrays` returned."""
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(torch.from_numpy(arrays[name]))

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the trained tensors by checkpoint name, in the order of `parameters`."""
        named = dict(self.named_parameters())
        tensors: dict[str, Tensor] = {}
        for parameter in parameters(self.config, self.vocab_size):
            name = parameter.name
            stack, _, rest = name.partition(".")
            if stack in RECURRENT_STACKS:
                name = f"{stack}.{rest.replace('bias', 'bias_ih')}_l0"
            tensors[parameter.name] = named[name]
        return tensors


class LanguageModel(SavedNetwork):
    """Predict each token from all tokens before it; in a backward model, after it.

    The embedding has a last row for the boundary between texts.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocab_size: int,
        *,
        dropout: float = 0.0,
        embedding: nn.Embedding | None = None,
    ) -> None:
        """Build a network of one direction, with a new embedding or that of another network."""
        super().__init__(config, vocab_size, dropout, embedding)
        self.recurrent = self.layers(config.embedding_size, config.hidden_size, config.hidden_size)
        self.output = self.new_output()

    def forward(
        self, ids: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Return the features of each position, from which `output` predicts the next token.

        Args:
            ids: Token ids in [0, V], V being the boundary, shape (B, T), int64.
            state: The state before the first position; None starts from zeros.

        Returns:
            Features, shape (B, T, H), and the state after the last position.
        """
        features = self.dropout(self.embedding(ids))  # (B, T, E)
        return read_layers(self.recurrent, features, state, self.dropout, self.config.residual)

    def read(
        self, ids: Tensor, is_scored: Tensor, state: RecurrentState | None = None
    ) -> tuple[Tensor, RecurrentState]:
        """Return the features of the scored positions, row by row, shape (N, H), and the state."""
        features, state = self(ids, state)
        return (features.flatten(0, 1) if is_scored.all() else features[is_scored]), state


def read_layers(
    layers: nn.ModuleList,
    features: Tensor,
    state: RecurrentState | None,
    dropout: LockedDropout,
    is_residual: bool,
) -> tuple[Tensor, RecurrentState]:
    """Return the output of a stack of layers, shape (B, T, H), and the state after it."""
    following: RecurrentState = []
    for number, layer in enumerate(layers):
        vectors = None if state is None else state[number]
        before = vectors[0] if vectors is not None and len(vectors) == 1 else vectors
        outputs, after = layer(features, before)  # (B, T, H)
        following.append(after if isinstance(after, tuple) else (after,))
        features = dropout(outputs + features if is_residual and number > 0 else outputs)
    return features, following


def load_language_model(checkpoint: Checkpoint, device: torch.device) -> LanguageModel:
    """Return a trained language model of one direction, without dropout, on a device."""
    network = LanguageModel(checkpoint.config, checkpoint.tokenizer.vocab_size).to(device)
    network.load_arrays(checkpoint.arrays)
    return network


def _embedding(config: ModelConfig, vocab_size: int) -> nn.Embedding:
    """Return an embedding of all tokens and the boundary, with its initial weights."""
    embedding = nn.Embedding(vocab_size + 1, config.embedding_size)
    if config.tie_weights:  # the rows of nn.Embedding are far too long for logits
        with torch.no_grad():
            embedding.weight.mul_(config.embedding_size**-0.5)
    return embedding


def _layer(config: ModelConfig, input_size: int, hidden_size: int) -> nn.LSTM | GRU | RNN:
    """Return one recurrent layer of the network's cell."""
    sizes = input_size, hidden_size
    match config.cell:
        case "lstm":
            return nn.LSTM(*sizes, batch_first=True)
        case "gru":
            return GRU(*sizes, batch_first=True)
        case "rnn":
            return RNN(*sizes, nonlinearity=config.nonlinearity, batch_first=True)
