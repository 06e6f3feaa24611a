"""`charlm train`: train a model on texts and save the best one."""

from functools import partial
from pathlib import Path

import typer

from charlm.cli.options import json_options, refuse
from charlm.cli.train import options
from charlm.cli.train.destination import Destination
from charlm.cli.train.new_run import load_new_run
from charlm.cli.train.resume import load_run
from charlm.cli.train.run import run
from charlm.cli.train.torchrun import check_restarts, joined_processes
from charlm.config import (
    DEFAULT_MODEL_PATH,
    DEFAULT_SAVE_EVERY,
    CorpusConfig,
    ModelConfig,
    TrainingConfig,
)


def train_command(
    context: typer.Context,
    corpus: options.CorpusArgument,
    output: options.OutputOption = Path(DEFAULT_MODEL_PATH),
    overwrite: options.OverwriteOption = False,
    resume: options.ResumeOption = False,
    save_every: options.SaveEveryOption = None,
    max_time: options.MaxTimeOption = None,
    max_epochs: options.MaxEpochsOption = None,
    max_steps: options.MaxStepsOption = None,
    lines: options.LinesOption = False,
    pairs: options.PairsOption = False,
    labels: options.LabelsOption = False,
    tags: options.TagsOption = False,
    columns: options.ColumnsOption = None,
    separator: options.SeparatorOption = None,
    document_separator: options.DocumentSeparatorOption = None,
    mask: options.MaskOption = None,
    tokenizer: options.TokenizerOption = CorpusConfig.tokenizer,
    vocab_size: options.VocabSizeOption = None,
    start: options.FromOption = None,
    cell: options.CellOption = ModelConfig.cell,
    nonlinearity: options.NonlinearityOption = ModelConfig.nonlinearity,
    hidden_size: options.HiddenSizeOption = None,
    num_layers: options.NumLayersOption = None,
    attention: options.AttentionOption = None,
    residual: options.ResidualOption = ModelConfig.residual,
    direction: options.DirectionOption = ModelConfig.direction,
    ngram_order: options.NgramOrderOption = None,
    embedding_size: options.EmbeddingSizeOption = None,
    embeddings: options.EmbeddingsOption = None,
    tie_weights: options.TieWeightsOption = None,
    initialisation: options.InitialisationOption = None,
    forget_bias: options.ForgetBiasOption = None,
    batch_size: options.BatchSizeOption = TrainingConfig.batch_size,
    bptt_length: options.BpttLengthOption = None,
    optimizer: options.OptimizerOption = TrainingConfig.optimizer,
    learning_rate: options.LearningRateOption = None,
    weight_decay: options.WeightDecayOption = None,
    momentum: options.MomentumOption = TrainingConfig.momentum,
    max_gradient_norm: options.MaxGradientNormOption = TrainingConfig.max_gradient_norm,
    dropout: options.DropoutOption = None,
    validation_fraction: options.ValidationFractionOption = None,
    validation_from: options.ValidationFromOption = None,
    validation: options.ValidationOption = None,
    precision: options.PrecisionOption = TrainingConfig.precision,
    device: options.DeviceOption = TrainingConfig.device,
    threads: options.ThreadsOption = None,
    rng_seed: options.RngSeedOption = TrainingConfig.rng_seed,
    metrics: options.MetricsOption = None,
    quiet: options.QuietOption = False,
) -> None:
    """Train a model on texts; save the one that predicts the held-out part best.

    Example: charlm train book.txt --max-time 60s -o book.safetensors

    To train in two processes: torchrun --nproc-per-node 2 -m charlm train book.txt
    """
    # The settings of model and training are read from `context.params`, by their names.
    tasks = {"--lines": lines, "--pairs": pairs, "--labels": labels, "--tags": tags}
    for task in filter(tasks.get, tasks):
        refuse(task, {other: tasks[other] for other in tasks if other != task})
    if resume:
        refuse("--resume", {"--overwrite": overwrite})
    if validation is not None:
        refuse("--validation", {"--validation-from": validation_from is not None})
    validation_names = [validation] if validation else []
    check_restarts(resume=resume, texts=[*corpus, *validation_names])
    destination = Destination(
        output=output,
        overwrite=overwrite,
        resume=resume,
        save_every=DEFAULT_SAVE_EVERY if save_every is None else save_every,
        metrics=metrics,
        quiet=quiet,
    )
    with joined_processes(json_options(context)) as group:
        if group.broadcast(b"resumes" * destination.resumes):
            load_settings = partial(load_run, context, destination.state, group)
            run(corpus, validation_names, destination, load_settings, group)
        else:
            settings = load_new_run(context, group)
            run(corpus, validation_names, destination, lambda: settings, group)
