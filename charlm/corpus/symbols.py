"""The symbols in the columns of a text: its labels, tags, features, and what targets consist of."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from charlm.config import CorpusConfig, Task
from charlm.errors import CorpusError
from charlm.tokenizers import SymbolTokenizer, Tokenizer
from charlm.tokenizers.symbols import FEATURE_MARK, features_of

MOST_CLASSES = 10_000
# Targets of pairs consist of symbols between spaces if they have several parts, which are short and
# occur often.
FEWEST_SYMBOLS = 2  # in a target, in the mean
LONGEST_SYMBOL = 2.5  # characters, in the mean
OFTEN = 10  # times, in the mean


@dataclass
class SymbolCounts:
    """How often each symbol occurs in the training part of a text."""

    task: Task
    separator: str | None
    targets: int = 0
    features: Counter[str] = field(default_factory=Counter)
    symbols: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, batches: Iterable[Sequence[str]], config: CorpusConfig) -> "SymbolCounts":
        """Count the symbols of examples.

        Raises:
            CorpusError: If there are fewer than two labels or tags, or too many.
        """
        is_closed = config.task != "pairs"
        counts = cls(config.task, None if is_closed else config.separator or " ")
        for examples in batches:
            for example in examples:
                for line in example.split("\n"):
                    source, _, target = line.partition("\t")
                    counts._add(source, target)
        if is_closed:
            counts._check_classes()
        elif config.separator == "" or (config.separator is None and not counts._are_symbols()):
            counts.separator = None
            counts.symbols.clear()
        return counts

    def tokenizer(self, base: Tokenizer) -> Tokenizer:
        """Return the base with the symbols, or the base alone if there are none."""
        if not self.features and not self.symbols:
            return base
        symbols = sorted(self.symbols)
        if self.separator is not None:  # each as the first of a target, and after the separator
            symbols = [*symbols, *(self.separator + symbol for symbol in symbols)]
        return SymbolTokenizer(
            base, features=sorted(self.features), symbols=symbols, separator=self.separator
        )

    def without_symbols(self, line: str) -> str:
        """Return a line without what consists of symbols."""
        source, _, target = line.partition("\t")
        source = source.partition(FEATURE_MARK)[0]
        return source if self.symbols else f"{source}\n{target}"

    def _add(self, source: str, target: str) -> None:
        if FEATURE_MARK in source:
            self.features.update(features_of(source))
        self.targets += 1
        if self.separator is None:
            self.symbols[target] += 1
        else:
            self.symbols.update(filter(None, target.split(self.separator)))

    def _are_symbols(self) -> bool:
        """Return whether targets have several parts, which are short and frequent."""
        occurrences = self.symbols.total()
        if occurrences < FEWEST_SYMBOLS * self.targets:
            return False
        length = sum(len(symbol) * number for symbol, number in self.symbols.items())
        return occurrences > OFTEN * len(self.symbols) and length <= LONGEST_SYMBOL * occurrences

    def _check_classes(self) -> None:
        what = self.task
        if not 2 <= len(self.symbols) <= MOST_CLASSES:
            raise CorpusError(
                f"the text has {len(self.symbols):,} different {what}; a model needs 2 to "
                f"{MOST_CLASSES:,}",
                hint="name the columns of source and target with --columns; targets that are no "
                "closed set are for --pairs",
            )
        if "" in self.symbols:
            raise CorpusError(f"the text has empty {what}", hint="leave out their lines")
