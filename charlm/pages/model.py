"""A page in which a model writes, scores and shows what its network computes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from charlm.checkpoint import Checkpoint
from charlm.config import TERMINATORS, GenerationConfig, ModelConfig, PageConfig, Task
from charlm.corpus.windows import prefix_of
from charlm.files.atomic import write_atomically
from charlm.inference.combination_weights import fit_weights
from charlm.inference.model import Model
from charlm.inference.runtime import Runtime
from charlm.inference.scoring import windows_of
from charlm.ngram import NGramTable, prune
from charlm.pages.surprisal import CHARACTER_STEPS, TOKEN_STEPS, legend
from charlm.pages.template import facts, fill, printable
from charlm.pages.weights import pack_counts, pack_weights, to_json
from charlm.tokenizers import Tokenizer, WordTokenizer
from charlm.tokenizers.base import BYTES
from charlm.tokenizers.pre_tokenization import SplitTokenizer, pre_token_pattern
from charlm.tokenizers.subword import SubwordTokenizer
from charlm.tokenizers.symbols import SymbolTokenizer

WORKER = "worker-src blob:; "  # the script starts itself as a worker
# What Python calls white space; JavaScript's \s has other characters.
WHITE_SPACE = "\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
LONGEST_SEED, LONGEST_SOURCES = 10_000, 2000  # characters
MOST_LINES = 20  # that a model of lines writes at first
SAMPLES, SAMPLE_LENGTH = 20, 500  # texts and characters that a model writes, to be measured on
TITLE_AND_COST = 500  # bytes that the page has for them
LARGEST_STEP = 0.95  # of the entries of the counts, from one attempt to the next


@dataclass(frozen=True, kw_only=True)
class _Labels:
    """What a task is called on the page."""

    write: str  # the first tab, and its button
    seed: str
    placeholder: str = ""
    studied: str = "Text"


LABELS: dict[Task, _Labels] = {
    "text": _Labels(write="Write", seed="Continue this text", placeholder="empty: a new text"),
    "lines": _Labels(
        write="Write", seed="Begin each line with", placeholder="empty: whole lines", studied="Line"
    ),
    "pairs": _Labels(
        write="Answer",
        seed="Source",
        placeholder="several lines: several sources",
        studied="Source",
    ),
    "labels": _Labels(write="Label", seed="Text", placeholder="several lines: several texts"),
    "tags": _Labels(write="Tag", seed="Sentence", studied="Sentence"),
}


READ_HINTS: dict[Task, str] = {
    "lines": "Type or paste lines.",
    "pairs": "Type or paste lines of a source, a tab and a target. The Tab key types a tab; after "
    "the Escape key it leaves the box.",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class PageModel:
    """A model as a page holds it: rounded weights, and as many counts as there is room for.

    Attributes:
        checkpoint: The forward network and its counts with the numbers that the script computes.
        weights: The network as it stands in the page.
        counts: The counts as they stand in the page.
    """

    checkpoint: Checkpoint
    weights: Mapping[str, Any]
    counts: Mapping[str, Any]

    @classmethod
    def of(cls, checkpoint: Checkpoint, config: PageConfig) -> "PageModel":
        """Return a model for a page.

        Only counts are left out, so the page of a large network may be larger than configured.
        """
        checkpoint = checkpoint.for_direction("forward")
        packed = [
            pack_weights(name, weights, config.weights)
            for name, weights in checkpoint.arrays.items()
        ]
        arrays = {array.name: array.restored() for array in packed}
        table = checkpoint.ngrams.get("forward")
        alone = cls(
            checkpoint=replace(
                checkpoint,
                config=replace(checkpoint.config, mask=None),  # which the script does not apply
                arrays=arrays,
                ngrams={},
            ),
            weights=to_json(packed),
            counts=to_json([]),
        )
        if table is None:
            return alone
        without_counts = alone.byte_count
        most = config.most_bytes(without_counts) - TITLE_AND_COST
        page = alone.with_counts(table)
        while table.contexts and (size := page.byte_count) > most:
            share = max(0.0, min((most - without_counts) / (size - without_counts), LARGEST_STEP))
            table = prune(table, int(table.entry_count * share))
            page = alone.with_counts(table)
        if table is checkpoint.ngrams["forward"]:
            return page
        return alone.with_counts(
            _with_fitted_weights(table, alone.checkpoint, written_texts(checkpoint, 1))
        )

    def with_counts(self, table: NGramTable) -> "PageModel":
        """Return the model with these counts."""
        return replace(
            self,
            checkpoint=replace(self.checkpoint, ngrams={"forward": table}),
            counts=to_json(pack_counts(table)),
        )

    @property
    def byte_count(self) -> int:
        """Size of the page, but for its title and the cost."""
        return len(self.to_html(title="", cost="").encode())

    @property
    def entry_count(self) -> int:
        """Number of tokens that the counts list after contexts."""
        return sum(table.entry_count for table in self.checkpoint.ngrams.values())

    def write(self, path: Path, *, title: str, cost: str) -> None:
        """Write the page atomically.

        Args:
            path: The file.
            title: The heading.
            cost: What the rounded weights and the counts left out cost, in words.

        Raises:
            CheckpointError: If the file cannot be written.
        """
        write_atomically(path, self.to_html(title=title, cost=cost).encode())

    def to_html(self, *, title: str, cost: str) -> str:
        """Return the page."""
        config, tokenizer = self.checkpoint.config, self.checkpoint.tokenizer
        labels = LABELS[config.task]
        is_of_characters = tokenizer.kind in ("char", "byte")
        steps = CHARACTER_STEPS if is_of_characters else TOKEN_STEPS
        parts = {
            "write": labels.write,
            "seed": labels.seed,
            "placeholder": labels.placeholder,
            "studied": labels.studied,
            "longest_seed": str(LONGEST_SEED if config.task == "text" else LONGEST_SOURCES),
            "column_text": "answer" if config.task == "pairs" else "text",
            "studied_rows": "2" if config.task == "text" else "1",
            "description": escape(printable(_description(self.checkpoint))),
            "read_hidden": "hidden" if config.is_of_classes else "",
            "read_hint": READ_HINTS.get(config.task, "Type or paste a text."),
            "controls": _controls(config),
            "unit": "character" if is_of_characters else "token",
            "legend": legend(steps, by_character=is_of_characters, has_gaps=config.task == "pairs"),
            "facts": facts(self._facts(cost)),
        }
        prefix = prefix_of(tokenizer, config)
        data = {
            "config": self._config(),
            "tokenizer": tokenizer_to_json(tokenizer),
            "beginning": [tokenizer.boundary_id, *([] if prefix is None else prefix.tolist())],
            "weights": self.weights,
            "counts": self.counts,
            "steps": steps,
            "outputs": config.outputs(tokenizer.vocab_size),
            "mostCharacters": GenerationConfig().length,
        }
        return fill(
            "model", parts, title=title, data=data, scripts=["network", "look"], sources=WORKER
        )

    def _config(self) -> dict[str, Any]:
        """Return what the script has to know of the network and its task."""
        config = self.checkpoint.config
        table = self.checkpoint.ngrams.get("forward")
        separator = config.document_separator
        return {
            "cell": config.cell,
            "nonlinearity": config.nonlinearity,
            "numLayers": config.num_layers,
            "embeddingSize": config.embedding_size,
            "residual": config.residual,
            "task": config.task,
            "encoder": config.encoder,
            "hasEncoder": config.has_encoder,
            "isOfClasses": config.is_of_classes,
            "copies": config.copies,
            "numClasses": config.num_classes,
            "order": 0 if table is None else table.order,
            "hasCounts": table is not None,
            "predictsBoundary": config.predicts_boundary,
            "endTokens": list(TERMINATORS[config.task].encode()),
            "columns": config.columns,
            "hasFeatures": config.has_features,
            "separator": None if separator is None else separator.replace("\r\n", "\n"),
            "whiteSpace": WHITE_SPACE,
            "wordPattern": _for_javascript(pre_token_pattern(unspaced="{1}")),
        }

    def _facts(self, cost: str) -> dict[str, str]:
        """Return what the foot of the page lists."""
        return {
            "network": self.checkpoint.config.network,
            "vocabulary": self.checkpoint.tokenizer.vocabulary,
            **({"precision": cost} if cost else {}),
        }


def written_texts(checkpoint: Checkpoint, rng_seed: int) -> list[str]:
    """Return texts that a model writes by itself: none of pairs, labels and tags."""
    if checkpoint.config.task not in ("text", "lines"):
        return []
    written = Model(checkpoint).generate_many(
        [""] * SAMPLES, rng_seed=rng_seed, temperature=1.0, length=SAMPLE_LENGTH
    )
    return [text.text for text in written if text.text]


def _with_fitted_weights(
    table: NGramTable, network: Checkpoint, texts: Sequence[str]
) -> NGramTable:
    """Return a pruned table with new weights: those of the whole table are too high for it."""
    if not texts:
        return table
    windows = windows_of(texts, network.tokenizer, network.config)
    weights, _ = fit_weights(Runtime(network.config, network.arrays), table, windows)
    return replace(table, weights=weights)


def _description(checkpoint: Checkpoint) -> str:
    """Return what the page does, in two sentences."""
    origin = ""
    corpus = checkpoint.provenance.get("corpus")
    if isinstance(corpus, list) and corpus and isinstance(corpus[0], dict):
        origin = f" from {corpus[0].get('name', 'a text')}"
    kinds = {
        "text": "It writes more text of that kind, and shows how surprising your text is to it.",
        "lines": "It writes more lines of that kind, and shows how surprising yours are to it.",
        "pairs": "It answers a source, and shows how surprising a target is to it.",
        "labels": "It guesses the label of a text.",
        "tags": "It guesses the tag of each token of a sentence.",
    }
    return f"A small neural network that has learnt{origin}. {kinds[checkpoint.config.task]}"


def _controls(config: ModelConfig) -> str:
    """Return the controls of the first tab."""
    if config.is_of_classes:
        return ""
    temperature = GenerationConfig.for_model({}, config).temperature
    controls = [
        _slider("Temperature (tame to wild)", "temperature", 0, 1.5, temperature),
        _slider("Top-p (few tokens to all)", "topP", 0.05, 1, 1),
    ]
    if config.task == "text":
        controls.append(_number("Length in characters", "characters", 1, 100_000, 500))
    elif config.task == "lines":
        controls.append(_number("Lines", "count", 1, 1000, MOST_LINES))
    controls.append(_number("Random seed", "rngSeed", 0, 2**32 - 1, None))
    return "\n".join(controls)


def _slider(label: str, name: str, low: float, high: float, value: float) -> str:
    return (
        f'<label>{label} <span>{value:g}</span><input type="range" name="{name}" '
        f'min="{low:g}" max="{high:g}" step="0.05" value="{value:g}"></label>'
    )


def _number(label: str, name: str, low: int, high: int, value: int | None) -> str:
    shown = 'placeholder="any"' if value is None else f'value="{value}"'
    return (
        f'<label>{label} <input type="number" name="{name}" min="{low}" max="{high}" '
        f"{shown}></label>"
    )


def tokenizer_to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the tokenizer for the script: its texts in the order of their ids, and its rules."""
    base: Tokenizer = tokenizer
    features: Sequence[str] = ()
    symbols: Sequence[str] = ()
    if isinstance(tokenizer, SymbolTokenizer):
        base, features, symbols = tokenizer.base, tokenizer.features, tokenizer.symbols
    value: dict[str, Any] = {
        "kind": base.kind,
        "texts": [str(piece) for piece in base.pieces[BYTES:]],
        "features": features,
        "symbols": symbols,
        "separator": tokenizer.separator,
        "spellsCharacters": isinstance(base, WordTokenizer) and bool(base.characters),
    }
    if isinstance(base, SplitTokenizer):
        value["pattern"] = _for_javascript(base.pattern)
    if isinstance(base, SubwordTokenizer):
        value["scores"] = base.scores
    return value


def _for_javascript(pattern: "re.Pattern[str]") -> str:
    """Return a pattern of pre-tokens in JavaScript's syntax."""
    return pattern.pattern.replace("[\\s\\S]", "[^]").replace("\\s", WHITE_SPACE)
