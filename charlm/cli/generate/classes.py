"""Labels and tags on stdout: of a seed text, or of the lines of a file."""

from collections.abc import Iterable, Iterator, Sequence, Set

from charlm.cli.output import write, write_json
from charlm.config import ModelConfig
from charlm.corpus.columns import LineLayout
from charlm.corpus.line_batches import read_line_batches
from charlm.errors import ConfigError, CorpusError
from charlm.formatting import visible, without_surrogates
from charlm.inference.classification import ClassPrediction
from charlm.inference.model import Model
from charlm.tokenizers.pre_tokenization import words_of

ALLOWED = {"--model", "--prompt", "--seed-file", "--jsonl"}  # --prompt is --seed


def print_classes(
    model: Model, used: Set[str], seed: str, seed_file: str | None, *, is_jsonl: bool
) -> None:
    """Print the label of each text, or the tags of each sentence, as the lines come.

    Raises:
        ConfigError: If an option of `used` is for generated text, or there is no seed text.
    """
    task = model.config.task
    for option in sorted(used - ALLOWED):
        raise ConfigError(f"{option} is for generated text; a model of {task} predicts {task}")
    if seed_file is None and not seed.strip():
        raise ConfigError(
            f"a model of {task} reads a text, and there is none",
            hint="give it with --seed TEXT, or one in each line of --seed-file FILE",
        )
    batches: Iterable[Sequence[str]] = [seed.split("\n")]
    if seed_file is not None:
        batches = (
            [line.rstrip("\r\n") for line in batch.lines] for batch in read_line_batches(seed_file)
        )
    if task == "labels":
        _print_labels(model, batches, is_jsonl=is_jsonl)
    else:
        _print_tags(model, batches, is_jsonl=is_jsonl)


def _print_labels(model: Model, batches: Iterable[Sequence[str]], *, is_jsonl: bool) -> None:
    for lines in batches:
        texts = [_text_of(line, model.config) for line in lines]
        for text, prediction in zip(texts, model.labels(texts), strict=True):
            if is_jsonl:
                write_json({"seed": without_surrogates(text), **_fields("label", prediction)})
            else:
                write(f"{prediction.name}\t{prediction.probability:.4f}\n")


def _print_tags(model: Model, batches: Iterable[Sequence[str]], *, is_jsonl: bool) -> None:
    is_first = True
    for sentences in _sentences(batches, model.config):
        for tokens, tags in zip(sentences, model.tags(sentences), strict=True):
            if is_jsonl:
                write_json(
                    {
                        "tokens": [without_surrogates(token) for token in tokens],
                        "tags": [tag.name for tag in tags],
                        "probabilities": [round(tag.probability, 6) for tag in tags],
                    }
                )
                continue
            lines = [f"{token}\t{tag.name}\n" for token, tag in zip(tokens, tags, strict=True)]
            write(("" if is_first else "\n") + without_surrogates("".join(lines)))
            is_first = False


def _sentences(batches: Iterable[Sequence[str]], config: ModelConfig) -> Iterator[list[list[str]]]:
    """Yield the tokens of sentences: of lines with one token each, or of plain lines.

    A text is of plain lines if its first line holds white space, but no tab.
    """
    layout = LineLayout.of(config)
    is_plain: bool | None = None
    unfinished: list[str] = []  # tokens of a sentence whose end has not come
    for lines in batches:
        sentences: list[list[str]] = []
        for line in lines:
            if is_plain is None and line.strip() and not layout.is_left_out(line):
                is_plain = "\t" not in line and len(line.split()) > 1
            if is_plain:
                sentences += [words_of(line)] if line.strip() else []
            elif not line.strip():
                sentences += [unfinished] if unfinished else []
                unfinished = []
            elif not layout.is_left_out(line):
                unfinished.append(_text_of(line, config))
        if sentences:
            yield sentences
    if unfinished:
        yield [unfinished]


def _text_of(line: str, config: ModelConfig) -> str:
    """Return the text of a line that may have other columns, too."""
    if config.columns is None or "\t" not in line:
        return line.partition("\t")[0]
    fields = line.split("\t")
    if len(fields) < max(config.columns):
        raise CorpusError(
            f"the line {visible(line[:40])!r} has {len(fields)} columns, but the model was trained "
            f"with --columns {','.join(map(str, config.columns))}",
            hint="give lines with these columns, or the tokens alone, one a line",
        )
    return fields[config.columns[0] - 1]


def _fields(what: str, prediction: ClassPrediction) -> dict[str, object]:
    shares = {name: round(share, 6) for name, share in prediction.probabilities.items()}
    return {
        what: prediction.name,
        "probability": round(prediction.probability, 6),
        "probabilities": shares,
    }
