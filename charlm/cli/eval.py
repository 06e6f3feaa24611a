"""`charlm eval`: let a model judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.cli.eval_options import (
    BaselinesOption,
    CarryOption,
    DirectionOption,
    DynamicOption,
    FailAboveOption,
    HeatmapOption,
    HtmlOption,
    JsonOption,
    JudgesOption,
    MaxScoreOption,
    MinScoreOption,
    PerLineOption,
    PerTokenOption,
    PerWordOption,
    ScoreOption,
    TextArgument,
    TopOption,
    TrainingTextOption,
)
from charlm.cli.options import model_path, refuse
from charlm.config import DEFAULT_SCORE_UNIT
from charlm.config.checks import require, require_whole
from charlm.errors import ConfigError

if TYPE_CHECKING:
    from charlm.inference.model import Model


def eval_command(
    texts: TextArgument = None,
    model: JudgesOption = None,
    score: ScoreOption = DEFAULT_SCORE_UNIT,
    direction: DirectionOption = None,
    json: JsonOption = False,
    per_line: PerLineOption = False,
    min_score: MinScoreOption = None,
    max_score: MaxScoreOption = None,
    top: TopOption = None,
    carry: CarryOption = False,
    per_token: PerTokenOption = False,
    per_word: PerWordOption = False,
    heatmap: HeatmapOption = False,
    html: HtmlOption = None,
    fail_above: FailAboveOption = None,
    baselines: BaselinesOption = False,
    training_text: TrainingTextOption = None,
    dynamic: DynamicOption = False,
) -> None:
    """Score texts: how much information they are under the model, and where.

    Example: charlm eval unseen.txt; tail -f log | charlm eval --min-score 3 -
    """
    filters = {
        "--min-score": min_score is not None,
        "--max-score": max_score is not None,
        "--top": top is not None,
    }
    require("min-score", min_score, at_least=0)
    require("max-score", max_score, at_least=0)
    require("fail-above", fail_above, at_least=0)
    if top is not None:
        require_whole("top", top, 1)
    is_of_lines = per_line or any(filters.values())
    modes = {
        "--per-line": per_line,
        **filters,
        "--per-token": per_token,
        "--per-word": per_word,
        "--heatmap": heatmap,
    }
    whole = {
        "--html": html is not None,
        "--fail-above": fail_above is not None,
        "--baselines": baselines,
        "--dynamic": dynamic,
        "--direction both": direction == "both",
    }
    for option in ("--per-token", "--per-word", "--heatmap"):
        if modes[option]:
            refuse(option, {other: given for other, given in modes.items() if other != option})
    for option, is_given in modes.items():
        if is_given:
            refuse(option, whole)
    if direction == "both":
        refuse("--direction both", {**whole, "--direction both": False})
    if training_text and not baselines:
        raise ConfigError("--training-text is for --baselines")
    if carry and not is_of_lines:
        raise ConfigError("--carry is for --per-line and the options that choose lines")
    if score == "percentile" and (carry or not is_of_lines):
        raise ConfigError(
            "a percentile is that of a line that is read from nothing",
            hint="leave out --carry" if carry else "use it with --per-line",
        )
    if model is not None and len(model) > 1:
        one = {**filters, **modes, "--per-line": False, **whole, "--baselines": False}
        refuse("several models", one)
    judges = _judges(model or [])
    names = texts or ["-"]
    one_way = None if direction == "both" else direction
    if is_of_lines:
        from charlm.cli.eval_lines import LineChoice, show_lines
        from charlm.corpus.reading import STDIN, named_files

        files = [
            str(file) for name in names for file in ([name] if name == STDIN else named_files(name))
        ]
        choice = LineChoice(
            unit=score,
            least=min_score,
            most=max_score,
            top=top,
            is_scored=per_line,
            is_json=json,
        )
        show_lines(judges, files, choice, carry=carry, direction=one_way)
        return
    from charlm.corpus.reading import open_documents

    with open_documents(names) as documents, open_documents(training_text or []) as training:
        judge = next(iter(judges.values()))
        read = (("".join(document.read_text()), document.name) for document in documents)
        if per_token or per_word:
            from charlm.cli.eval_tokens import show_tokens

            show_tokens(
                judge,
                read,
                direction=one_way,
                is_of_words=per_word,
                is_of_several=len(documents) > 1,
                is_json=json,
            )
            return
        if heatmap:
            from charlm.cli.eval_heatmap import show_heatmap

            show_heatmap(judge, read, direction=one_way)
            return
        from charlm.cli.eval_figures import Extras, show_figures, show_pseudo_figures

        if direction == "both":
            show_pseudo_figures(judge, documents, is_json=json)
            return
        extras = Extras(
            dynamic=model_path(model[0] if model else None) if dynamic else None,
            compared=baselines,
            training_documents=training,
            page=html,
            fail_above=fail_above,
            unit=score,
            is_json=json,
        )
        show_figures(judges, documents, extras, direction=one_way)


def _judges(paths: Sequence[Path]) -> "dict[str, Model]":
    """Return the models by their labels: the names of their files, or all of their paths."""
    from charlm.inference.model import load  # NumPy, which --help does not need

    found = list(paths) or [model_path(None)]
    labels = [path.stem for path in found]
    if len(set(labels)) < len(labels):
        labels = list(map(str, found))
    if len(set(labels)) < len(labels):
        raise ConfigError("a model is there twice")
    return {label: load(path) for label, path in zip(labels, found, strict=True)}
