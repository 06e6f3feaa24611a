"""A trained model, which generates and scores text."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig, ScoreUnit, SingleDirection, Task
from charlm.config.checks import require, require_texts, require_type, require_whole
from charlm.corpus.masks import masked
from charlm.errors import ConfigError
from charlm.fingerprint import share_in_training_texts, union
from charlm.formatting import count, quantity, visible
from charlm.inference.classifier import Classifier
from charlm.inference.combination import network_of
from charlm.inference.generation_methods import GenerationMethods
from charlm.inference.mixture import Mixture, check_mixable
from charlm.inference.runtime import Network
from charlm.parameters import parameter_count
from charlm.tokenizers import Tokenizer

if TYPE_CHECKING:
    from charlm.inference.attention import AttentionMatrix
    from charlm.inference.bidirectional import PseudoScore
    from charlm.inference.classification import ClassPrediction
    from charlm.inference.inspection import NetworkState
    from charlm.inference.scoring import Score
    from charlm.inference.token_scores import TokenScores

LONGEST_NAME = 60  # characters of a text's name in the representation of a model


class Model(GenerationMethods):
    """A trained model, which `charlm.load` returns.

    Examples:
        >>> model = charlm.load("model.safetensors")  # doctest: +SKIP
        >>> model.generate("This is", length=40, temperature=0)  # doctest: +SKIP
        ' the tale of the second stone, and the to'
        >>> model.score("This is the tale").bits_per_character  # doctest: +SKIP
        1.13

    A `direction` is by default the model's own; of a model that reads both ways, forward. A method
    raises ConfigError if it is lacking.
    """

    # Scoring methods import what they need when they are called: generation does not wait for it.

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint: Checkpoint | None = checkpoint  # None of a mixture
        self.config: ModelConfig = checkpoint.config
        self.tokenizer: Tokenizer = checkpoint.tokenizer
        self.provenance: Mapping[str, Any] = checkpoint.provenance
        self.fingerprints = tuple(checkpoint.fingerprints)
        self.line_scores = checkpoint.line_scores
        self._runtimes: dict[SingleDirection, Network] = {}
        self._classifier: Classifier | None = None  # of a model of labels or tags
        if checkpoint.config.is_of_classes:
            self._classifier = Classifier(checkpoint)
            return
        for direction in checkpoint.config.directions:
            self._runtimes[direction] = network_of(checkpoint.for_direction(direction))

    def __repr__(self) -> str:
        task = "running text" if self.config.task == "text" else self.config.task
        if self.checkpoint is None:
            network = "a mixture of models"
        else:
            size = parameter_count(self.config, self.tokenizer.vocab_size)
            network = f"{self.config.network}, {quantity(size)} parameters"
        origin = _training_texts(self.provenance)
        return f"<charlm.Model of {task}: {network}, {self.tokenizer.vocabulary}{origin}>"

    def runtime(self, direction: SingleDirection | None = None) -> Network:
        """Return the network that reads in `direction`."""
        if self._classifier is not None:
            task = self.config.task
            raise ConfigError(
                f"a model of {task} predicts {task}, and no text",
                hint="`charlm generate` prints them, `charlm eval` compares them with known ones",
            )
        direction = direction or self.config.directions[0]
        self.config.require_direction(direction, f"reading {direction}")
        return self._runtimes[direction]

    @property
    def classifier(self) -> Classifier:
        """The network of a model of labels or tags.

        Raises:
            ConfigError: If the model is of another task.
        """
        if self._classifier is None:
            raise ConfigError(
                f"a model of {self.config.task} predicts no labels or tags",
                hint="train one with --labels or --tags",
            )
        return self._classifier

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels or tags, in the order of the outputs."""
        return tuple(map(str, self.tokenizer.pieces[self.tokenizer.first_symbol :]))

    def is_unknown(self, token: str) -> bool:
        """Return whether a token of a model of tags was in no training text."""
        return not any(fingerprint.holds(token) for fingerprint in self.fingerprints)

    def labels(self, texts: Iterable[str]) -> "Iterator[ClassPrediction]":
        """Return an iterator over the labels of texts, with their probabilities.

        Raises:
            ConfigError: If the model is not one of labels.
            TypeError: If `texts` is one text, or holds something else than texts.
        """
        from charlm.inference.classification import predict_labels

        self._require_task("labels")
        return predict_labels(self, require_texts("texts", texts))

    def tags(self, sentences: Iterable[Sequence[str]]) -> "Iterator[list[ClassPrediction]]":
        """Return an iterator over the tags of sentences; a sentence is a sequence of tokens.

        Raises:
            ConfigError: If the model is not one of tags.
            TypeError: If a sentence is one text, or holds something else than texts.
        """
        from charlm.inference.classification import predict_tags

        self._require_task("tags")
        checked = (list(require_texts("a sentence", tokens)) for tokens in sentences)
        return predict_tags(self, checked)

    def attention(self, source: str, target: str | None = None) -> "AttentionMatrix":
        """Return what a model of pairs attends to as it writes a target; by default, its answer.

        Raises:
            ConfigError: If the model has no attention, or the source is blank.
        """
        from charlm.inference.attention import attention_of

        require_type("source", source, str)
        require_type("target", target, str | None)
        return attention_of(self, source, target)

    def _require_task(self, task: Task) -> None:
        if self.config.task != task:
            raise ConfigError(
                f"a model of {self.config.task} predicts no {task}",
                hint=f"train one with --{task}",
            )

    def single_direction(self, direction: SingleDirection | None = None) -> Checkpoint:
        """Return the network that `runtime` returns, as a checkpoint.

        Raises:
            ValueError: If the model is a mixture, which has no checkpoint.
        """
        if self.checkpoint is None:
            raise ValueError("a mixture of models has no checkpoint")
        direction = direction or self.config.directions[0]
        self.config.require_direction(direction, f"reading {direction}")
        return self.checkpoint.for_direction(direction)

    def score(
        self, text: str, *, direction: SingleDirection | None = None, name: str = "the text"
    ) -> "Score":
        """Return the score of `text`: its negative log-likelihood under the model.

        A model of lines or pairs reads each line from the zero state, and predicts its end.

        Raises:
            CorpusError: If the model is of pairs and a line of `name` is not a pair.
        """
        from charlm.inference.scoring import score_text

        require_type("text", text, str)
        return score_text(self.runtime(direction), self.tokenizer, text, name=name)

    def score_lines(
        self, lines: Iterable[str], *, carry: bool = False, direction: SingleDirection | None = None
    ) -> "Iterator[Score]":
        """Return an iterator over the scores of lines, with or without ends, in their order.

        Each line is read alone and its end is predicted; a model of running text reads it after a
        line end. An empty line has score 0. With `carry` the recurrent state is carried from line
        to line, so that the scores add up to the score of the text. Then a line end is scored only
        if it is present.

        Raises:
            ConfigError: If the state of the model cannot be carried.
            CorpusError: If the model is of pairs and a line is not a pair.
            ValueError: If a line holds a line end before its own.
            TypeError: If `lines` is one text, or holds something else than texts.
        """
        from charlm.inference.line_scores import batches_of

        batches = batches_of(require_texts("lines", lines))
        scores = self.score_batches(batches, carry=carry, direction=direction)
        return (score for batch in scores for score in batch)

    def score_batches(
        self,
        batches: Iterable[Sequence[str]],
        *,
        carry: bool = False,
        context: str = "",
        direction: SingleDirection | None = None,
        name: str = "the text",
    ) -> "Iterator[list[Score]]":
        """Return an iterator over the scores of the lines of each batch, as for `score_lines`.

        A batch is requested after the one before is scored, so it may wait for its source. With a
        `context`, which is read before each line and not scored, ends of running text are not, too.
        """
        from charlm.inference.line_scores import score_batches, score_stream

        network = self.runtime(direction)
        if not carry:
            return score_batches(network, self.tokenizer, batches, context=context, name=name)
        return score_stream(network, self.tokenizer, batches)

    def score_tokens(
        self,
        text: str,
        *,
        top_tokens: int = 1,
        context: str = "",
        direction: SingleDirection | None = None,
        name: str = "the text",
    ) -> "TokenScores":
        """Return the score of each token of `text`, with the `top_tokens` likeliest tokens there.

        The `context` is read first and not scored. Errors are those of `score`.
        """
        from charlm.inference.token_scores import score_tokens

        require_type("text", text, str)
        require_type("context", context, str)
        require_type("top_tokens", top_tokens, int)
        require_whole("top_tokens", top_tokens, 1)
        network = self.runtime(direction)
        return score_tokens(
            network, self.tokenizer, text, top_tokens=top_tokens, context=context, name=name
        )

    def states(
        self, text: str, *, direction: SingleDirection | None = None
    ) -> "Iterator[NetworkState]":
        """Return an iterator over what the network computes at each token of `text`, for study.

        The first state is the one before the text, and one follows for each token. A state's
        `log_probabilities` predict the token of the next state, so the score of the text is minus
        their sum. Lines, pairs and documents are read one by one, each with a first state of its
        own; a backward network reads from the end.

        The weights are in `model.checkpoint.arrays`, by the names and with the shapes that
        `charlm info` lists.

        Raises:
            ConfigError: If an encoder reads the sources.
            CorpusError: If the model is of pairs and a line is not a pair.
            ValueError: If the model is a mixture.
        """
        from charlm.inference.inspection import network_states

        require_type("text", text, str)
        return network_states(self.single_direction(direction), text)

    def percentile(self, bits_per_character: float) -> float:
        """Return the percentage of held-out lines with a lower score, in [0, 100].

        Held-out lines were read alone in the model's own direction.

        Raises:
            ConfigError: If the model holds no scores of held-out lines.
        """
        from charlm.inference.line_scores import percentile

        require_type("bits_per_character", bits_per_character, float)
        return percentile(self.line_scores, bits_per_character)

    def in_unit(self, score: "Score", unit: ScoreUnit) -> float:
        """Return a score in `unit`; see `percentile` for that one."""
        if unit == "percentile":
            return self.percentile(score.bits_per_character)
        return float(getattr(score, unit))

    def share_in_training_text(self, text: str) -> float:
        """Return the estimated share of `text` that is in the training text, in [0, 1].

        Held-out text counts as training text. A model without fingerprints returns 0.
        """
        require_type("text", text, str)
        return share_in_training_texts(self.fingerprints, masked(text, self.config.mask))

    def pseudo_score(self, text: str) -> "PseudoScore":
        """Return the pseudo-likelihood of `text`: each token is predicted from both sides."""
        from charlm.inference.bidirectional import pseudo_score

        require_type("text", text, str)
        self.config.require_direction("both", "a pseudo-likelihood")
        networks = self.runtime("forward"), self.runtime("backward")
        return pseudo_score(*networks, self.tokenizer, text)

    def mixed(self, other: "Model", share: float = 0.5) -> "Model":
        """Return a mixture: the mean of two models' probabilities, with weights share, 1 − share.

        Raises:
            ConfigError: If the tokenizers, the tasks or the masks differ.
        """
        require_type("other", other, Model)
        require_type("share", share, float)
        require("mix", share, at_least=0, at_most=1)
        check_mixable(self.tokenizer, self.config, other.tokenizer, other.config)
        mixed = copy.copy(self)
        mixed.checkpoint = None
        mixture = Mixture(self.runtime("forward"), other.runtime("forward"), share)
        mixed.config = mixture.config
        mixed._runtimes = {"forward": mixture}
        mixed.fingerprints = union(self.fingerprints, other.fingerprints)
        mixed.line_scores = np.empty(0, np.float32)
        return mixed


def _training_texts(provenance: Mapping[str, Any]) -> str:
    """Return the names of the training texts for a line; "" if a file does not tell them."""
    corpus = provenance.get("corpus")
    if not isinstance(corpus, list) or not corpus or not isinstance(corpus[0], dict):
        return ""
    others = f" and {count(len(corpus) - 1, 'other text')}" if len(corpus) > 1 else ""
    return f", trained on {visible(str(corpus[0].get('name')))[:LONGEST_NAME]}{others}"


def load(path: str | PathLike[str]) -> Model:
    """Return the model in the file at `path`.

    Raises:
        CheckpointError: If the file is missing, damaged, or no model of charlm.
        TypeError: If `path` is no path.
    """
    require_type("path", path, str | PathLike)
    return Model(Checkpoint.load(Path(path)))
