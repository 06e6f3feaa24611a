"""`charlm eval`: let a model judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.cli.eval.options import (
    BaselinesOption,
    CarryOption,
    DeviceOption,
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
from charlm.config import DEFAULT_SCORE_UNIT, SingleDirection
from charlm.config.checks import require, require_whole
from charlm.errors import ConfigError

if TYPE_CHECKING:
    from charlm.inference.model import Model


def eval_command(
    texts: TextArgument = None,
    model: JudgesOption = None,
    score: ScoreOption = None,
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
    device: DeviceOption = None,
) -> None:
    """Score texts: how much information they are under the model, and where.

    Example: charlm eval unseen.txt; tail -f log | charlm eval --min-score 3 -
    """
    filters = {
        "--min-score": min_score is not None,
        "--max-score": max_score is not None,
        "--top": top is not None,
    }
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
        "--device": device is not None,
        "--direction both": direction == "both",
    }
    require("min-score", min_score, at_least=0)
    require("max-score", max_score, at_least=0)
    require("fail-above", fail_above, at_least=0)
    if min_score is not None and max_score is not None and min_score > max_score:
        raise ConfigError(f"no line scores at least {min_score:g} and at most {max_score:g}")
    if top is not None:
        require_whole("top", top, 1)
    _refuse_conflicts(modes, whole)
    is_of_lines = per_line or any(filters.values())
    if training_text and not baselines:
        raise ConfigError("--training-text is for --baselines")
    if carry and not is_of_lines:
        raise ConfigError("--carry is for --per-line and the options that choose lines")
    if score is not None and not is_of_lines and fail_above is None:
        raise ConfigError("--score is for lines and for --fail-above; see --per-line")
    if score == "percentile" and (carry or not is_of_lines):
        raise ConfigError(
            "a percentile is that of a line that is read for itself",
            hint="leave out --carry" if carry else "use it with --per-line",
        )
    if heatmap and json:
        raise ConfigError("--heatmap and --json exclude one another")
    if model is not None and len(model) > 1:
        alone = {**filters, **modes, **whole, "--per-line": False, "--device": False}
        refuse("several models", alone)

    from charlm.corpus.reading import STDIN, named_files, open_documents, standard_input

    names = texts or [STDIN]
    if STDIN in names:
        standard_input()  # which says so if nobody could know that text is awaited
    paths = list(model or [model_path(None)])
    judges = _judges(paths)
    if baselines and any(judge.config.task == "pairs" for judge in judges.values()):
        raise ConfigError("--baselines take all of a text; a model of pairs scores targets alone")
    for_direction = None if direction == "both" else direction
    if score == "percentile":
        _require_own_direction(judges, for_direction)
    if is_of_lines:
        from charlm.cli.eval.lines import LineChoice, show_lines

        files = [
            str(file) for name in names for file in ([name] if name == STDIN else named_files(name))
        ]
        choice = LineChoice(
            unit=score or DEFAULT_SCORE_UNIT,
            least=min_score,
            most=max_score,
            top=top,
            is_scored=per_line,
            is_json=json,
        )
        show_lines(judges, files, choice, carry=carry, direction=for_direction)
        return

    with open_documents(names) as documents, open_documents(training_text or []) as training:
        judge = next(iter(judges.values()))
        read = (("".join(document.read_text()), document.name) for document in documents)
        if per_token or per_word:
            from charlm.cli.eval.tokens import show_tokens

            show_tokens(
                judge,
                read,
                direction=for_direction,
                is_of_words=per_word,
                is_of_several=len(documents) > 1,
                is_json=json,
            )
            return
        if heatmap:
            from charlm.cli.eval.heatmap import show_heatmap

            show_heatmap(judge, read, direction=for_direction)
            return
        from charlm.cli.eval.figures import FigureOptions, show_figures, show_pseudo_figures

        if direction == "both":
            show_pseudo_figures(judge, documents, is_json=json)
            return
        options = FigureOptions(
            models=paths,
            device=device,
            is_dynamic=dynamic,
            compared=baselines,
            training_documents=training,
            page=html,
            inputs=[*paths, *(each.path for each in [*documents, *training])],
            fail_above=fail_above,
            unit=score or DEFAULT_SCORE_UNIT,
            is_json=json,
        )
        show_figures(judges, documents, options, direction=for_direction)


def _refuse_conflicts(modes: dict[str, bool], whole: dict[str, bool]) -> None:
    """Raise ConfigError if two options show different things.

    Args:
        modes: Whether each option was given that shows lines, tokens or the text itself.
        whole: Whether each was that belongs to the figures of the whole text.
    """
    for option in ("--per-token", "--per-word", "--heatmap"):
        if modes[option]:
            refuse(option, {other: given for other, given in modes.items() if other != option})
    for option, is_given in modes.items():
        if is_given:
            refuse(option, whole)
    if whole["--direction both"]:
        refuse("--direction both", {**whole, "--direction both": False})
    if whole["--device"]:  # a page is about tokens
        refuse("--device", {"--html": whole["--html"]})


def _require_own_direction(judges: "dict[str, Model]", direction: SingleDirection | None) -> None:
    """Raise ConfigError if lines are read in another direction than those that were held out."""
    for judge in judges.values():
        if direction not in (None, judge.config.directions[0]):
            raise ConfigError(
                f"the percentiles of this model are for lines read {judge.config.directions[0]}",
                hint="leave out --direction",
            )


def _judges(paths: Sequence[Path]) -> "dict[str, Model]":
    """Return the models by their labels: the names of their files, or all of their paths.

    Raises:
        ConfigError: If one is there twice, or they score different parts of a text.
    """
    from charlm.inference.model import load  # NumPy, which --help does not need

    labels = [path.stem for path in paths]
    if len(set(labels)) < len(labels):
        labels = list(map(str, paths))
    if len(set(labels)) < len(labels):
        raise ConfigError("a model is there twice")
    judges = {label: load(path) for label, path in zip(labels, paths, strict=True)}
    if len({judge.config.task == "pairs" for judge in judges.values()}) > 1:
        raise ConfigError(
            "models of pairs score the targets alone, so they compare with their like only"
        )
    return judges
