"""`charlm train`: learn from texts and keep the best model."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from charlm.cli.options import json_options, parse_duration, refuse, unescaped
from charlm.cli.train.destination import Destination
from charlm.cli.train.new_run import NewRun, load_start
from charlm.cli.train.processes import joined_processes, refuse_restarts
from charlm.cli.train.resume import load_run
from charlm.cli.train.run import run
from charlm.config import (
    DEFAULT_BPTT_LENGTH,
    DEFAULT_LEARNING_RATE,
    DEFAULT_MODEL_PATH,
    DEFAULT_SAVE_EVERY,
    DEFAULT_WEIGHT_DECAY,
    DEFAULT_WORDS,
    LARGE_EMBEDDING_SIZE,
    SHORT_BPTT_LENGTH,
    SMALLEST_FITTED_SIZE,
    Cell,
    CorpusConfig,
    Device,
    Direction,
    Initialisation,
    ModelConfig,
    Nonlinearity,
    OptimizerName,
    Precision,
    Task,
    TokenizerKind,
    TrainingConfig,
)
from charlm.errors import ConfigError

TEXT, BUDGET, MODEL, LEARNING = "Text", "Budget", "Model", "Learning"
MACHINE = "Machine and output"

_rates = ", ".join(f"{name} {rate:g}" for name, rate in DEFAULT_LEARNING_RATE.items())


def _option(text: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


CorpusArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS",
        help="Texts to learn from, UTF-8: files, directories of .txt files, or - for stdin. "
        "Each is a document of its own.",
        show_default=False,
    ),
]


def train_command(
    context: typer.Context,
    corpus: CorpusArgument,
    output: Annotated[
        Path, _option("Where to save the best model.", MACHINE, "--output", "-o", metavar="FILE")
    ] = Path(DEFAULT_MODEL_PATH),
    overwrite: Annotated[
        bool, _option("Replace the model if there is one.", MACHINE, "--overwrite")
    ] = False,
    resume: Annotated[
        bool,
        _option(
            "Go on with the run that was stopped, on the same texts; what options leave open is as "
            "it was. Where there is none, begin it.",
            MACHINE,
            "--resume",
        ),
    ] = False,
    save_every: Annotated[
        float | None,
        _option(
            "Save the state of the run so often, such as 30s or 5m; --resume goes on from there.",
            MACHINE,
            parser=parse_duration,
            metavar="DURATION",
            show_default="1m",
        ),
    ] = None,
    max_time: Annotated[
        float | None,
        _option(
            "Train for so long, such as 60s, 5m or 1h, validation included; the learning rate is "
            "fitted to it.",
            BUDGET,
            parser=parse_duration,
            metavar="DURATION",
            show_default="5m, if no other budget is given",
        ),
    ] = None,
    max_epochs: Annotated[float | None, _option("Read the training text so often.", BUDGET)] = None,
    max_steps: Annotated[int | None, _option("Take so many steps.", BUDGET)] = None,
    lines: Annotated[
        bool, _option("Every line is a text of its own, with a start and an end.", TEXT, "--lines")
    ] = False,
    pairs: Annotated[
        bool,
        _option("Every line is a source, a tab and a target; learn to answer.", TEXT, "--pairs"),
    ] = False,
    document_separator: Annotated[
        str | None,
        _option(
            "Stands between documents in a file and belongs to none; \\n, \\r and \\t are line "
            "end, carriage return and tab.",
            TEXT,
            parser=unescaped,
            metavar="TEXT",
        ),
    ] = None,
    tokenizer: Annotated[
        TokenizerKind,
        _option(
            "What a token is: a character, a byte of UTF-8, a word, or a piece of a word as "
            "byte-pair encoding or the unigram model finds it.",
            TEXT,
        ),
    ] = CorpusConfig.tokenizer,
    vocab_size: Annotated[
        int | None,
        _option(
            "Words or subwords that are tokens, at most; others are spelled.",
            TEXT,
            show_default=f"{DEFAULT_WORDS:,} words; subwords: square root of the text's length",
        ),
    ] = None,
    start: Annotated[
        Path | None,
        _option(
            "Go on from this model, with its tokenizer, size and weights, on another text.",
            MODEL,
            "--from",
            metavar="MODEL",
        ),
    ] = None,
    cell: Annotated[
        Cell, _option("What remembers: an LSTM, a GRU or a simple RNN.", MODEL)
    ] = ModelConfig.cell,
    nonlinearity: Annotated[
        Nonlinearity, _option("Of a simple RNN.", MODEL)
    ] = ModelConfig.nonlinearity,
    hidden_size: Annotated[
        int | None,
        _option(
            "Units per layer.",
            MODEL,
            show_default=f"{SMALLEST_FITTED_SIZE} to {ModelConfig.hidden_size}, as the run is long",
        ),
    ] = None,
    num_layers: Annotated[
        int, _option("Recurrent layers, one on top of another.", MODEL)
    ] = ModelConfig.num_layers,
    residual: Annotated[
        bool,
        _option("Add each layer's input to its output, from the second on.", MODEL, "--residual"),
    ] = ModelConfig.residual,
    direction: Annotated[
        Direction,
        _option(
            "Read texts from the beginning, from the end, or learn one network for each; "
            "`generate --ending` needs backward or both.",
            MODEL,
        ),
    ] = ModelConfig.direction,
    embedding_size: Annotated[
        int | None,
        _option(
            "Units that represent a token as input.",
            MODEL,
            show_default=f"{ModelConfig.embedding_size}; words, subwords: {LARGE_EMBEDDING_SIZE}",
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        _option(
            "Start from word vectors in this text file, as word2vec or GloVe write them; they set "
            "the embedding's size.",
            MODEL,
            metavar="FILE",
        ),
    ] = None,
    tie_weights: Annotated[
        bool | None,
        _option(
            "Use one matrix for input and output.",
            MODEL,
            "--tie-weights/--no-tie-weights",
            show_default="for words and subwords",
        ),
    ] = None,
    initialisation: Annotated[
        Initialisation | None,
        _option(
            "What recurrent matrices begin as; uniform is within one over the root of the size.",
            MODEL,
            show_default="identity for ReLU, else orthogonal",
        ),
    ] = None,
    forget_bias: Annotated[
        float | None,
        _option(
            "What the biases of an LSTM's forget gates begin as.",
            MODEL,
            show_default=f"{TrainingConfig.forget_bias:g}",
        ),
    ] = None,
    batch_size: Annotated[
        int, _option("Streams of text that are read side by side.", LEARNING)
    ] = TrainingConfig.batch_size,
    bptt_length: Annotated[
        int | None,
        _option(
            "Tokens that the gradient reaches back, at most.",
            LEARNING,
            show_default=f"{DEFAULT_BPTT_LENGTH}; words, or little time: {SHORT_BPTT_LENGTH}",
        ),
    ] = None,
    optimizer: Annotated[
        OptimizerName, _option("How gradients become steps.", LEARNING)
    ] = TrainingConfig.optimizer,
    learning_rate: Annotated[
        float | None,
        _option(
            "Peak step size, after warm-up; of an untied output matrix, with adamw, twice that.",
            LEARNING,
            show_default=f"{_rates}; a quarter for --cell rnn with tanh; with adamw and adam less "
            f"for fewer than {TrainingConfig.batch_size} streams",
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        _option(
            "Shrink matrices by this share of the learning rate a step.",
            LEARNING,
            show_default=f"adamw {DEFAULT_WEIGHT_DECAY['adamw']:g}, others 0",
        ),
    ] = None,
    momentum: Annotated[
        float, _option("Share of the last step that sgd takes again.", LEARNING)
    ] = TrainingConfig.momentum,
    max_gradient_norm: Annotated[
        float, _option("Scale longer gradients down to this norm.", LEARNING)
    ] = TrainingConfig.max_gradient_norm,
    dropout: Annotated[
        float | None,
        _option(
            "Share of units silenced at random while learning; 0 is off.",
            LEARNING,
            show_default="by how often the text is read: 0, from 4 times on 0.2, 10: 0.3, 20: 0.5",
        ),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        _option(
            "Share of the text that is held out for validation: its end, or every n-th line or "
            "pair.",
            LEARNING,
            show_default=f"{CorpusConfig.validation_fraction:g}, at most "
            f"{CorpusConfig.max_validation_characters:,} characters",
        ),
    ] = None,
    validation: Annotated[
        str | None,
        _option(
            "Measure on this text instead, and learn from all of CORPUS.", LEARNING, metavar="FILE"
        ),
    ] = None,
    precision: Annotated[
        Precision,
        _option("Matrix products in float32 or bfloat16; auto takes the faster.", MACHINE),
    ] = TrainingConfig.precision,
    device: Annotated[Device, _option("Where to compute.", MACHINE)] = TrainingConfig.device,
    threads: Annotated[
        int | None,
        _option("Processor threads of each process.", MACHINE, show_default="one a core"),
    ] = None,
    rng_seed: Annotated[
        int, _option("Seed of all random numbers.", MACHINE)
    ] = TrainingConfig.rng_seed,
    metrics: Annotated[
        Path | None,
        _option("Append a JSON object a line: progress and scores.", MACHINE, metavar="FILE"),
    ] = None,
    quiet: Annotated[bool, _option("Say nothing but errors.", MACHINE, "--quiet", "-q")] = False,
) -> None:
    """Learn from texts, and save the model that predicts the held-out part best.

    Example: charlm train book.txt --max-time 60s -o book.safetensors

    Several processes train one model: torchrun --nproc-per-node 2 -m charlm train book.txt
    """
    if lines and pairs:
        raise ConfigError("--lines and --pairs exclude one another")
    if resume:
        refuse("--resume", {"--overwrite": overwrite})
    held_out = [validation] if validation else []
    refuse_restarts(is_to_go_on=resume, texts=[*corpus, *held_out])
    destination = Destination(
        output=output,
        overwrite=overwrite,
        resume=resume,
        save_every=DEFAULT_SAVE_EVERY if save_every is None else save_every,
        metrics=metrics,
        quiet=quiet,
    )
    with joined_processes(json_options(context)) as group:
        if group.broadcast(b"resumed" * destination.has_state):
            find = partial(load_run, context, destination.state, group)
            run(corpus, held_out, destination, find, group)
            return
        begun = None if start is None else load_start(context, start, group)
        if begun is None:
            if embeddings is not None and embedding_size is not None:
                raise ConfigError(
                    "--embeddings sets the embedding size; leave out --embedding-size"
                )
            task: Task = "lines" if lines else "pairs" if pairs else "text"
            model = ModelConfig.for_tokenizer(
                tokenizer,
                embedding_size=embedding_size,
                cell=cell,
                nonlinearity=nonlinearity,
                hidden_size=ModelConfig.hidden_size if hidden_size is None else hidden_size,
                num_layers=num_layers,
                residual=residual,
                direction=direction,
                tie_weights=tie_weights,
                task=task,
                document_separator=document_separator,
            )
        else:
            model, tokenizer = begun.config, begun.tokenizer.kind
        corpus_config = CorpusConfig(
            tokenizer=tokenizer,
            vocab_size=vocab_size,
            task=model.task,
            document_separator=model.document_separator,
        )
        if validation_fraction is not None:
            corpus_config = replace(
                corpus_config,
                validation_fraction=validation_fraction,
                max_validation_characters=None,
            )
        config = TrainingConfig.for_model(
            model,
            tokenizer,
            batch_size=batch_size,
            bptt_length=bptt_length,
            optimizer=optimizer,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            momentum=momentum,
            max_gradient_norm=max_gradient_norm,
            initialisation=initialisation,
            forget_bias=forget_bias,
            dropout=dropout,
            max_time=max_time,
            max_epochs=max_epochs,
            max_steps=max_steps,
            precision=precision,
            device=device,
            threads=threads,
            rng_seed=rng_seed,
        )
        job = NewRun(
            corpus=corpus_config,
            model=model,
            config=config,
            options=json_options(context),
            embeddings=embeddings,
            start=begun,
            may_resize=hidden_size is None and begun is None,
        )
        run(corpus, held_out, destination, lambda: job, group)
