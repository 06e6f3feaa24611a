"""Checks of the values and combinations of options `charlm eval` accepts."""

from collections.abc import Set

from charlm.cli.options import refuse
from charlm.config import Direction, ScoreUnit, Task
from charlm.config.checks import require, require_whole
from charlm.errors import ConfigError

FILTERS = ("--min-score", "--max-score", "--top", "--choose")
LINE_OPTIONS = {"--per-line", *FILTERS}
TABLES = ("--per-token", "--per-word")
SINGLE_VIEWS = (*TABLES, "--heatmap", "--errors")
VIEWS = ("--per-line", *FILTERS, *SINGLE_VIEWS)  # show lines, tokens or the text itself
BOTH = "--direction both"
WHOLE = (
    "--html",
    "--fail-above",
    "--baselines",
    "--dynamic",
    "--dynamic-counts",
    "--device",
    BOTH,
)  # show figures
# An option, and those of which it needs one.
NEEDS = {
    "--training-text": ("--baselines",),
    "--words": ("--per-word",),
    "--text-column": TABLES,
    "--id-column": ("--text-column",),
    "--context": (*LINE_OPTIONS, *TABLES),
}
# Pairs of an option and the options that it excludes, in the order of the checks.
EXCLUSIONS = (
    *(
        (table, (*FILTERS, *(other for other in SINGLE_VIEWS if other != table)))
        for table in TABLES
    ),
    ("--heatmap", ("--per-line", "--choose", "--carry", "--errors")),
    ("--errors", ("--per-line", *FILTERS)),
    ("--separator", VIEWS[:-1]),
    ("--choose", ("--min-score", "--max-score", "--top", "--carry", "--score")),
    ("--context", ("--carry",)),
    *((view, WHOLE) for view in VIEWS),
    (BOTH, WHOLE[:-1]),
    ("--device", ("--html",)),  # a page shows tokens, which NumPy scores
    ("--heatmap", ("--json",)),
    ("--dynamic", ("--dynamic-counts",)),
    ("--dynamic-counts", ("--device",)),  # they need no PyTorch
)
FOR_CLASSES = {"--model", "--json", "--errors"}  # options for labels and tags
SINGLE_MODEL = (*FILTERS, *SINGLE_VIEWS, *(option for option in WHOLE if option != "--device"))


def check_limits(
    *, min_score: float | None, max_score: float | None, fail_above: float | None, top: int | None
) -> None:
    """Raise ConfigError if a limit is out of range."""
    require("min-score", min_score, at_least=0)
    require("max-score", max_score, at_least=0)
    require("fail-above", fail_above, at_least=0)
    if min_score is not None and max_score is not None and min_score > max_score:
        raise ConfigError(f"no line scores at least {min_score:g} and at most {max_score:g}")
    if top is not None:
        require_whole("top", top, 1)


def check_options(
    options: Set[str], *, models: int, unit: ScoreUnit | None, direction: Direction | None
) -> None:
    """Raise ConfigError if options do not fit together.

    Args:
        options: The flags of the command line.
        models: Number of models.
        unit: The value of --score, if it is given.
        direction: The value of --direction, if it is given.
    """
    options = options | {BOTH} if direction == "both" else options
    is_of_lines = bool(options & LINE_OPTIONS)
    for option, others in EXCLUSIONS:
        if option in options:
            refuse(option, {other: other in options for other in others})
    if models > 1:
        refuse("several models", {option: option in options for option in SINGLE_MODEL})
    for option, needed in NEEDS.items():
        if option in options and options.isdisjoint(needed):
            raise ConfigError(f"{option} needs {' or '.join(sorted(needed))}")
    if "--carry" in options and not is_of_lines:
        raise ConfigError("--carry needs --per-line or an option that filters lines")
    if unit is not None and not is_of_lines and "--fail-above" not in options:
        raise ConfigError("--score needs --per-line, an option that filters lines, or --fail-above")
    if unit == "percentile" and (not is_of_lines or "--carry" in options):
        raise ConfigError(
            "a percentile is for lines that are read alone",
            hint=_cure_of_percentile(options, is_of_lines=is_of_lines),
        )


def _cure_of_percentile(options: Set[str], *, is_of_lines: bool) -> str:
    if "--fail-above" in options:
        return "use --min-score, whose exit status is 1 if no line passes"
    return "leave out --carry" if is_of_lines else "use it with --per-line"


def check_class_options(options: Set[str], task: Task) -> None:
    """Raise ConfigError if an option is not for models of labels and tags."""
    for option in sorted(filter(lambda name: name.startswith("-"), options - FOR_CLASSES)):
        raise ConfigError(f"{option} is for scores of text; a model of {task} predicts {task}")
