"""Subword tokenizers: a token is a frequent piece of a word, found by SentencePiece.

`bpe` repeatedly merges the most frequent pair (Sennrich et al. 2016,
https://arxiv.org/abs/1508.07909). `unigram` keeps the pieces under which the text is likeliest
(Kudo 2018, https://arxiv.org/abs/1804.10959).

SentencePiece alone is not lossless: it normalises, trims and squeezes white space, drops rare
characters and takes U+2581 for a space. So all of that is switched off, and it encodes one
pre-token at a time. Runs of line ends and tabs are separate tokens. A pre-token that SentencePiece
would change becomes bytes.
"""

import hashlib
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import sentencepiece

from charlm.formatting import count, without_surrogates
from charlm.tokenizers.base import BYTES, FEWEST_OCCURRENCES
from charlm.tokenizers.pre_tokenization import (
    SplitTokenizer,
    byte_fallback,
    count_pre_tokens,
    pre_token_pattern,
)

SubwordKind = Literal["bpe", "unigram"]

SPACE = "\u2581"  # how SentencePiece writes a space
# Characters that SentencePiece cannot train on, or takes for its own marks.
_UNFIT = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), SPACE, "\u2585", "\ufffd"}
_RESERVED_PIECES = 1 + BYTES  # <unk>, which is never encoded, and the bytes
THREADS = 2  # constant, because the trained model contains their number


class SubwordTokenizer(SplitTokenizer):
    """Pieces of words as tokens, and 256 bytes for all other text."""

    pattern = pre_token_pattern(unspaced="{1,40}")
    splits_words = True

    def __init__(self, kind: SubwordKind, white_space: Sequence[str], model: bytes) -> None:
        """Take the runs of line ends and tabs that are tokens, and a trained SentencePiece model.

        The model is empty if the text had nothing to train on.

        Raises:
            ValueError: If `model` is not a SentencePiece model, or a piece is repeated.
        """
        self.kind = kind
        self._white_space, self._model = white_space, model
        pieces = self._pieces_by_number()
        texts = [piece for piece in pieces.values() if isinstance(piece, str)]
        super().__init__([*white_space, *texts])
        self._id_of_number = {
            number: self.id_of_text[piece] if isinstance(piece, str) else piece
            for number, piece in pieces.items()
        }

    @classmethod
    def train(
        cls, kind: SubwordKind, chunks: Iterable[str], vocab_size: int | None, *, reserved: str = ""
    ) -> "SubwordTokenizer":
        """Return a tokenizer of at most `vocab_size` pieces for the text in `chunks`.

        The default is the square root of the text's length, or twice the number of characters that
        recur in it if that is more. On tiny shakespeare 1,000 pieces score better than 2,000, and
        2,000 better than 4,000. No piece contains a character of `reserved`.
        """
        counts = count_pre_tokens(cls.pattern, chunks)
        characters = _count_characters(counts)
        if vocab_size is None:
            recurring = sum(number >= FEWEST_OCCURRENCES for number in characters.values())
            vocab_size = max(math.isqrt(characters.total()), 2 * recurring)
        white_space = sorted(
            pre_token
            for pre_token, number in counts.items()
            if pre_token.isspace()
            and set(pre_token) <= _UNFIT - set(reserved)
            and number >= FEWEST_OCCURRENCES
        )[: vocab_size // 2]
        fit = {
            pre_token: number
            for pre_token, number in counts.items()
            if not set(pre_token) & _UNFIT and without_surrogates(pre_token) == pre_token
        }
        return cls(kind, white_space, _train(kind, fit, vocab_size - len(white_space)))

    @property
    def vocabulary(self) -> str:
        """The number of pieces, and the bytes."""
        return f"{count(self.vocab_size - BYTES, 'subword')} and {BYTES} bytes"

    @property
    def binary(self) -> bytes:
        """The SentencePiece model."""
        return self._model

    def ids_of_pre_token(self, pre_token: str) -> tuple[int, ...]:
        """Return the ids of the pre-token's pieces, or of its bytes."""
        if pre_token in self._white_space:
            return (self.id_of_text[pre_token],)
        if self._processor is None or without_surrogates(pre_token) != pre_token:
            return byte_fallback(pre_token)
        numbers = self._processor.encode(pre_token)
        ids = tuple(self._id_of_number.get(number, -1) for number in numbers)
        return ids if -1 not in ids and self.decode(ids) == pre_token else byte_fallback(pre_token)

    def to_json(self) -> dict[str, Any]:
        """Return the kind, the white space and the hash of the model, which is `binary`."""
        return {
            "kind": self.kind,
            "white_space": list(self._white_space),
            "model_sha256": hashlib.sha256(self._model).hexdigest(),
        }

    @property
    def scores(self) -> list[float | None]:
        """The score of each piece after the bytes; None of white space, which has none."""
        score_of = (
            {}
            if self._processor is None
            else {
                self._id_of_number[number]: self._processor.GetScore(number)
                for number in self._id_of_number
            }
        )
        return [score_of.get(token) for token in range(BYTES, self.vocab_size)]

    @cached_property
    def _processor(self) -> sentencepiece.SentencePieceProcessor | None:
        if not self._model:
            return None
        processor = sentencepiece.SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(self._model)
        except RuntimeError as error:
            raise ValueError(f"not a SentencePiece model: {error}") from None
        return processor

    def _pieces_by_number(self) -> dict[int, str | int]:
        """Return SentencePiece's texts and bytes, by its own numbers."""
        pieces: dict[int, str | int] = {}
        if (processor := self._processor) is None:
            return pieces
        for number in range(processor.GetPieceSize()):
            piece = processor.IdToPiece(number)
            if processor.IsByte(number):
                pieces[number] = int(piece[1:-1], 16)  # from <0x41>
            elif not (
                processor.IsUnknown(number)
                or processor.IsControl(number)
                or processor.IsUnused(number)
            ):
                pieces[number] = piece.replace(SPACE, " ")
        return pieces


def _train(kind: SubwordKind, counts: Mapping[str, int], vocab_size: int) -> bytes:
    """Train a SentencePiece model of at most `vocab_size` pieces on counted pre-tokens."""
    counts = _without_rare_characters(counts, most=max(1, vocab_size // 2))
    if not counts:
        return b""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=(f"{text}\t{number}" for text, number in sorted(counts.items())),
        input_format="tsv",
        model_writer=model,
        model_type=kind,
        vocab_size=vocab_size + _RESERVED_PIECES,
        hard_vocab_limit=False,
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        allow_whitespace_only_pieces=True,
        bos_id=-1,
        eos_id=-1,
        num_threads=THREADS,
        minloglevel=2,
    )
    return model.getvalue()


def _without_rare_characters(counts: Mapping[str, int], *, most: int) -> Mapping[str, int]:
    """Return the pre-tokens, cut at every character that stays out of vocabulary.

    That is a character that does not recur, or is not among the `most` frequent ones.
    """
    characters = _count_characters(counts)
    kept = {
        character
        for character, number in characters.most_common(most)
        if number >= FEWEST_OCCURRENCES
    }
    cut = str.maketrans(dict.fromkeys(characters.keys() - kept, "\n"))
    parts: Counter[str] = Counter()
    for pre_token, number in counts.items():
        for part in pre_token.translate(cut).split("\n"):
            if part:
                parts[part] += number
    return parts


def _count_characters(counts: Mapping[str, int]) -> Counter[str]:
    characters: Counter[str] = Counter()
    for pre_token, number in counts.items():
        for character in pre_token:
            characters[character] += number
    return characters
