"""`charlm eval`: parse the options, load the models, and show one kind of result."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from charlm.cli.eval.option_checks import (
    LINE_OPTIONS,
    check_class_options,
    check_limits,
    check_options,
)
from charlm.cli.eval.options import (
    BaselinesOption,
    CarryOption,
    ChooseOption,
    ContextOption,
    DeviceOption,
    DirectionOption,
    DynamicCountsOption,
    DynamicOption,
    ErrorsOption,
    FailAboveOption,
    HeatmapOption,
    HtmlOption,
    IdColumnOption,
    JsonOption,
    MaxScoreOption,
    MinScoreOption,
    ModelsOption,
    PerLineOption,
    PerTokenOption,
    PerWordOption,
    ScoreOption,
    SeparatorOption,
    TextArgument,
    TextColumnOption,
    TopOption,
    TrainingTextOption,
    WordsOption,
)
from charlm.cli.options import command_line_options, model_path, unescaped
from charlm.config import DEFAULT_SCORE_UNIT
from charlm.config.patterns import user_pattern
from charlm.errors import ConfigError
from charlm.formatting import visible

if TYPE_CHECKING:
    from charlm.cli.eval.tokens import TableOptions
    from charlm.config import UserPattern
    from charlm.inference.model import Model


def eval_command(
    context: typer.Context,
    texts: TextArgument = None,
    model: ModelsOption = None,
    score: ScoreOption = None,
    direction: DirectionOption = None,
    json: JsonOption = False,
    per_line: PerLineOption = False,
    min_score: MinScoreOption = None,
    max_score: MaxScoreOption = None,
    top: TopOption = None,
    carry: CarryOption = False,
    read_first: ContextOption = "",
    choose: ChooseOption = False,
    per_token: PerTokenOption = False,
    per_word: PerWordOption = False,
    words: WordsOption = None,
    text_column: TextColumnOption = None,
    id_column: IdColumnOption = None,
    errors: ErrorsOption = False,
    separator: SeparatorOption = None,
    heatmap: HeatmapOption = False,
    html: HtmlOption = None,
    fail_above: FailAboveOption = None,
    baselines: BaselinesOption = False,
    training_text: TrainingTextOption = None,
    dynamic: DynamicOption = False,
    dynamic_counts: DynamicCountsOption = False,
    device: DeviceOption = None,
) -> None:
    """Score texts: compute how many bits the model needs for them.

    Example: charlm eval unseen.txt; tail -f log | charlm eval --min-score 3 -
    """
    options = {flag for _, flag, _ in command_line_options(context)}
    check_limits(min_score=min_score, max_score=max_score, fail_above=fail_above, top=top)
    paths = list(model or [model_path(None)])
    check_options(options, models=len(paths), unit=score, direction=direction)
    word_pattern = None if words is None else user_pattern("--words", words)

    from charlm.corpus.reading import open_documents

    names = _files(texts or [])
    models = _load_models(paths, options)
    single_direction = None if direction == "both" else direction
    unit = score or DEFAULT_SCORE_UNIT
    has_table = per_token or per_word
    if options & LINE_OPTIONS and not has_table:
        from charlm.cli.eval.lines import LineOptions, show_lines

        line_options = LineOptions(
            unit=unit,
            min_score=min_score,
            max_score=max_score,
            top=top,
            shows_scores=per_line,
            is_choice=choose,
            is_heatmap=heatmap,
            context=unescaped(read_first),
            is_json=json,
        )
        show_lines(models, names, line_options, carry=carry, direction=single_direction)
        return

    with open_documents(names) as documents, open_documents(training_text or []) as training:
        first_model = next(iter(models.values()))
        if first_model.config.is_of_classes:
            from charlm.cli.eval.classes import show_classes

            show_classes(models, documents, has_errors=errors, is_json=json)
            return
        named_texts = (("".join(document.read_text()), document.name) for document in documents)
        if has_table:
            from charlm.cli.eval.tokens import show_tokens

            table = _table_options(context.params, word_pattern, with_names=len(documents) > 1)
            show_tokens(first_model, named_texts, table, direction=single_direction)
        elif errors:
            from charlm.cli.eval.answers import show_errors

            show_errors(first_model, documents, separator, is_json=json)
        elif heatmap:
            from charlm.cli.eval.heatmap import show_heatmap

            show_heatmap(first_model, named_texts, direction=single_direction)
        elif direction == "both":
            from charlm.cli.eval.figures import show_pseudo_figures

            show_pseudo_figures(first_model, documents, is_json=json)
        else:
            from charlm.cli.eval.figures import FigureOptions, show_figures

            figure_options = FigureOptions(
                device=device,
                is_dynamic=dynamic,
                has_dynamic_counts=dynamic_counts,
                with_compressors=baselines,
                training_documents=training,
                page=html,
                inputs=[*paths, *(document.path for document in [*documents, *training])],
                fail_above=fail_above,
                unit=unit,
                is_json=json,
                separator=separator,
            )
            show_figures(models, documents, figure_options, direction=single_direction)


def _table_options(
    options: Mapping[str, Any], words: "UserPattern | None", *, with_names: bool
) -> "TableOptions":
    """Return the options of a table of tokens or words, given those of the command line."""
    from charlm.cli.eval.tokens import TableOptions

    return TableOptions(
        by_word=options["per_word"],
        words=words,
        by_line=options["per_line"] or options["text_column"] is not None,
        text_column=options["text_column"],
        id_columns=tuple(options["id_column"] or ()),
        context=unescaped(options["read_first"]),
        with_names=with_names,
        is_json=options["json"],
    )


def _files(names: Sequence[str]) -> list[str]:
    """Return the names of all files, those in directories included; without any, stdin's.

    Raises:
        ConfigError: If one of them is stdin, and that is closed or a terminal.
        CorpusError: If a path is missing, or a directory holds no text.
    """
    from charlm.corpus.folders import STDIN, paths_of
    from charlm.corpus.reading import standard_input

    names = names or [STDIN]
    if STDIN in names:
        standard_input()
    return [STDIN if path is None else str(path) for path in paths_of(names)]


def _load_models(paths: Sequence[Path], options: Set[str]) -> "dict[str, Model]":
    """Return the models by their labels: the names of their files, or their paths.

    Args:
        paths: The files.
        options: The flags of the command line.

    Raises:
        ConfigError: If a model is given twice, only some of the models are of pairs, their
            masks differ, compressors are compared with models of pairs or with masks, or options
            for pairs are used with a model of another task.
    """
    from charlm.inference.model import load  # NumPy, which --help does not need

    labels = [visible(path.stem) for path in paths]
    if len(set(labels)) < len(labels):
        labels = [visible(str(path)) for path in paths]
    if len(set(labels)) < len(labels):
        raise ConfigError("a model is given twice", hint="name each model once with --model")
    models = {label: load(path) for label, path in zip(labels, paths, strict=True)}
    tasks = {model.config.task for model in models.values()}
    if len(tasks) > 1 and not tasks <= {"text", "lines"}:
        raise ConfigError(
            f"models of {' and '.join(sorted(tasks))} predict different things, so they cannot be "
            "compared",
            hint="`charlm info` shows the task of a model",
        )
    if len({model.config.mask for model in models.values()}) > 1:
        raise ConfigError(
            "the models mask different parts of the lines, so their scores are of different texts",
            hint="`charlm info` shows the mask of a model",
        )
    config = next(iter(models.values())).config
    if config.is_of_classes:
        check_class_options(options, config.task)
        return models
    for option in {"--errors", "--separator"} & options:
        if config.task != "pairs":
            raise ConfigError(f"{option} is for models of pairs; this one is of {config.task}")
    if "--baselines" in options and config.task == "pairs":
        raise ConfigError("--baselines compress a whole text; a model of pairs scores targets only")
    if "--baselines" in options and config.mask is not None:
        raise ConfigError("--baselines compress a whole text; the model masks parts of its lines")
    return models
