"""`charlm info`: its options, and which of its tables or pictures they ask for."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlm.cli.info.description import folded_lines, model_info, model_lines
from charlm.cli.info.memory import memory_info, memory_lines
from charlm.cli.info.plot import check_plot, plot_memory, plot_metrics
from charlm.cli.options import ModelArgument, ModelOption, named_model, refuse
from charlm.cli.output import is_terminal, write, write_json
from charlm.config.checks import require_whole
from charlm.errors import ConfigError
from charlm.formatting import in_field, token_name, visible

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint

MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Measure on this text, or on stdin for -, how much context a model of running text "
        "uses: its score for each length of context, and its gradient by distance. Needs PyTorch.",
    ),
]
NgramsOption = Annotated[
    int | None,
    typer.Option(
        "--ngrams",
        metavar="N",
        help="List the fragments of N tokens and the one after them that the counts hold, in "
        "reading order. The number is how often a fragment occurs; for fragments shorter than the "
        "longest, how many different tokens stand before it.",
    ),
]
VocabularyOption = Annotated[
    bool,
    typer.Option(
        "--vocabulary",
        help="List the tokens with their numbers, one a line. With --json add them to the object.",
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Draw the curves of --metrics, or the figures of --memory, into this file: "
        "an .svg, .png or .pdf. Needs matplotlib.",
    ),
]
MetricsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --plot: draw the losses and scores that train --metrics wrote to this file. "
        "A MODEL chooses the lines of its run.",
    ),
]


def info_command(
    path: ModelArgument = None,
    model: ModelOption = None,
    memory: MemoryOption = None,
    ngrams: NgramsOption = None,
    vocabulary: VocabularyOption = False,
    plot: PlotOption = None,
    metrics: MetricsOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the size, tokenizer, origin and score of a model.

    Example: charlm info model.safetensors
    """
    model_file = named_model(path, model)
    if metrics is not None:
        refuse("--metrics", {"--memory": memory is not None, "--ngrams": ngrams is not None})
        refuse("--metrics", {"--vocabulary": vocabulary, "--json": json})
        if plot is None:
            raise ConfigError("--metrics needs --plot FILE", hint="--plot curves.svg")
        check_plot(plot)
        plot_metrics(metrics, plot, run=path or model)
        return
    if plot is not None and memory is None:
        raise ConfigError(
            "--plot needs --metrics FILE or --memory FILE, which it draws",
            hint="charlm info --plot curves.svg --metrics FILE",
        )
    if plot is not None:
        check_plot(plot)
    from charlm.checkpoint import Checkpoint  # NumPy, which --help does not need

    checkpoint = Checkpoint.load(model_file)
    if vocabulary:
        refuse("--vocabulary", {"--memory": memory is not None, "--ngrams": ngrams is not None})
    if ngrams is not None:
        require_whole("ngrams", ngrams, 1)
        refuse("--ngrams", {"--memory": memory is not None})
        _write_ngrams(checkpoint, ngrams, is_json=json)
        return
    tokens = list(map(token_name, checkpoint.tokenizer.pieces)) if vocabulary else []
    if vocabulary and not json:
        write("".join(f"{number}\t{in_field(token)}\n" for number, token in enumerate(tokens)))
        return
    info = model_info(checkpoint, model_file) if memory is None else memory_info(checkpoint, memory)
    if plot is not None:
        plot_memory(info, plot)
    if json:
        write_json(info | ({"tokens": tokens} if vocabulary else {}))
    else:
        network = checkpoint.config.network
        lines = model_lines(info, network) if memory is None else memory_lines(info)
        if memory is None and is_terminal(sys.stdout):
            lines = folded_lines(lines, shutil.get_terminal_size().columns)
        write("".join(f"{line}\n" for line in lines))


def _write_ngrams(checkpoint: "Checkpoint", length: int, *, is_json: bool) -> None:
    """Write the fragments of the training text that the counts hold, the most frequent first."""
    order = max((table.order for table in checkpoint.ngrams.values()), default=0)
    if length > order:
        raise ConfigError(f"the model holds no counts of {length} tokens, but of up to {order}")
    pieces = (*checkpoint.tokenizer.pieces, None)
    for table in checkpoint.ngrams.values():
        rows = sorted(table.fragments(length), key=lambda row: -row[1])
        for tokens, number in rows:
            names = [token_name(pieces[token]) for token in tokens]
            if is_json:
                write_json({"count": number, "tokens": names})
            else:
                write(f"{number}\t{visible(''.join(names))}\n")
