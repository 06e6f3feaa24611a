"""The methods of a model that generate text."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from charlm.config import CandidateFilter, GenerationConfig, ModelConfig, SingleDirection
from charlm.config.checks import require_texts, require_type
from charlm.errors import ConfigError
from charlm.fingerprint import Fingerprint
from charlm.inference.beam_search import generate_answers
from charlm.inference.candidates import GeneratedText, TextGenerator
from charlm.inference.generation import Piece, generate_pieces, top_tokens
from charlm.inference.runtime import Network
from charlm.inference.sequences import Continuation, GeneratorSettings, RandomSeed, rng_seed_of
from charlm.inference.signatures import shows_settings
from charlm.tokenizers import Tokenizer

EVERY_TEXT = CandidateFilter()


class GenerationMethods(ABC):
    """The methods of `Model` that generate text."""

    config: ModelConfig
    tokenizer: Tokenizer
    fingerprints: tuple[Fingerprint, ...]

    @abstractmethod
    def runtime(self, direction: SingleDirection | None = None) -> Network:
        """Return the network that reads in `direction`."""

    @shows_settings
    def generate(
        self,
        seed: str = "",
        *,
        ending: str | None = None,
        rng_seed: RandomSeed = None,
        **settings: Any,
    ) -> str:
        """Return text that continues `seed`, or leads from it to `ending`.

        Args:
            seed: The text to continue; not repeated. In a model of pairs, the source.
            ending: The text to generate before; not repeated. It needs a model that reads
                backward, and with a seed text one that reads both ways.
            rng_seed: One or several numbers; the same ones give the same text. None takes new ones.
            **settings: Fields of `GenerationConfig`.

        Raises:
            ConfigError: If a setting is out of its range, or the seed text or the ending contains
                a terminator.
            TypeError: If an argument does not exist, or has another type.
        """
        return "".join(self.stream(seed, ending=ending, rng_seed=rng_seed, **settings))

    @shows_settings
    def stream(
        self,
        seed: str = "",
        *,
        ending: str | None = None,
        rng_seed: RandomSeed = None,
        **settings: Any,
    ) -> Iterator[str]:
        """Return an iterator over the text of `generate`, piece by piece.

        Args:
            seed: The text to continue, as for `generate`.
            ending: The text to generate before, as for `generate`. The text is then one piece.
            rng_seed: One or several numbers, as for `generate`.
            **settings: Fields of `GenerationConfig`.
        """
        require_type("seed", seed, str)
        require_type("ending", ending, str | None)
        if ending is None and not seed and self.config.direction == "backward":
            ending = ""
        if ending is None:
            pieces = self.pieces(seed, rng_seed=rng_seed, is_scored=False, **settings)
            return (piece.text for piece in pieces)
        from charlm.inference.infilling import check_ending_config, fill, generate_before

        config = GenerationConfig.from_settings(settings)
        check_ending_config(config)
        numbers = rng_seed_of(rng_seed)
        if not seed:
            backward = self._generator(config, direction="backward")
            return iter([generate_before(backward, ending, numbers)])
        self.config.require_direction("both", "a seed text with an ending")
        forward = self._generator(config)
        return iter([fill(forward, self.runtime("backward"), seed, ending, numbers)])

    @shows_settings
    def pieces(
        self,
        seed: str = "",
        *,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **settings: Any,
    ) -> Iterator[Piece]:
        """Return an iterator over the pieces of `stream` with their finish reason.

        Args:
            seed: The text to continue, as for `generate`.
            rng_seed: One or several numbers, as for `generate`.
            is_scored: Whether a piece has −ln p of each of its characters.
            **settings: Fields of `GenerationConfig`.
        """
        require_type("seed", seed, str)
        config = GenerationConfig.for_model(settings, self.config)
        forward = self._generator(config, is_scored=is_scored)
        return generate_pieces(forward, Continuation(forward, seed, rng_seed_of(rng_seed)))

    @shows_settings
    def generate_many(
        self,
        seeds: Iterable[str] = ("",),
        *,
        candidate_filter: CandidateFilter = EVERY_TEXT,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **settings: Any,
    ) -> Iterator[GeneratedText]:
        """Return an iterator over texts that are generated side by side, in the order of `seeds`.

        Args:
            seeds: The texts to continue, as for `generate`. Each has its own random numbers.
            candidate_filter: How many texts continue each seed text, and which are kept; from
                `charlm.config`.
            rng_seed: One or several numbers, as for `generate`.
            is_scored: Whether −ln p of the texts is computed.
            **settings: Fields of `GenerationConfig`.

        Raises:
            ConfigError: As for `generate`, or if novel texts need a fingerprint that the model
                lacks.
        """
        return self.generate_from_batches(
            [require_texts("seeds", seeds)],
            candidate_filter=candidate_filter,
            rng_seed=rng_seed,
            is_scored=is_scored,
            **settings,
        )

    @shows_settings
    def generate_from_batches(
        self,
        seed_batches: Iterable[Iterable[str]],
        *,
        candidate_filter: CandidateFilter = EVERY_TEXT,
        rng_seed: RandomSeed = None,
        is_scored: bool = False,
        **settings: Any,
    ) -> Iterator[GeneratedText]:
        """Return an iterator over texts, as `generate_many`, from seed texts in batches.

        Args:
            seed_batches: The seed texts. A batch is requested when no text is in progress, so it
                may wait for its source.
            candidate_filter: As for `generate_many`.
            rng_seed: As for `generate_many`.
            is_scored: As for `generate_many`.
            **settings: Fields of `GenerationConfig`.
        """
        require_type("seed_batches", seed_batches, Iterable)
        require_type("candidate_filter", candidate_filter, CandidateFilter)
        config = GenerationConfig.for_model(settings, self.config)
        is_answer = self.config.task == "pairs" and config.temperature == 0
        if config.beam > 1 and not is_answer:
            raise ConfigError("beam is for the likeliest answers of pairs, at temperature 0")
        if is_answer and (candidate_filter.count > 1 or config.beam > 1):
            return generate_answers(self._generator(config), seed_batches, candidate_filter)
        forward = self._generator(config, is_scored=is_scored or candidate_filter.best_of > 1)
        numbers = rng_seed_of(rng_seed)
        texts = TextGenerator(forward, seed_batches, candidate_filter, numbers, self.fingerprints)
        return iter(texts)

    def top_tokens(self, seed: str = "") -> list[tuple[str | int | None, float]]:
        """Return all next tokens and their probabilities, the most probable first.

        A token is a text, a byte, or None for the end of an example.
        """
        require_type("seed", seed, str)
        return top_tokens(self._generator(GenerationConfig(temperature=1.0, seed_weight=0.0)), seed)

    def _generator(
        self,
        config: GenerationConfig,
        *,
        direction: SingleDirection = "forward",
        is_scored: bool = False,
    ) -> GeneratorSettings:
        self.config.require_direction(
            direction, "a seed text" if direction == "forward" else "an ending"
        )
        return GeneratorSettings(self.runtime(direction), self.tokenizer, config, is_scored)
