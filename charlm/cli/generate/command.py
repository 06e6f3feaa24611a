"""The command `charlm generate`: parse its options, load the model, print texts."""

import secrets
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import typer

from charlm.cli.generate.options import (
    AllowCharsOption,
    AttemptsOption,
    AttentionSvgOption,
    BeamOption,
    BestOfOption,
    CountOption,
    EndingOption,
    ForbidCharsOption,
    InteractiveOption,
    JsonlOption,
    KeepStopOption,
    LengthOption,
    LexiconOption,
    LinesOption,
    MatchOption,
    MaxWidthOption,
    MinDistanceOption,
    MinPOption,
    MixOption,
    ModelsOption,
    NoEchoOption,
    NoRepeatNgramOption,
    NovelByOption,
    NovelOption,
    RepetitionPenaltyOption,
    RepetitionWindowOption,
    RngSeedOption,
    SeedFileOption,
    SeedOption,
    SeedWeightOption,
    SentencesOption,
    ShowAttentionOption,
    ShowProbabilitiesOption,
    SortOption,
    StopOption,
    TemperatureOption,
    TopKOption,
    TopPOption,
    TopTokensOption,
    TrainingTextOption,
    TypicalPOption,
    UniqueByOption,
    UniqueOption,
    UntilOption,
    WordsOption,
)
from charlm.cli.generate.seeds import (
    check_unicode,
    note_out_of_vocabulary,
    read_seed_batches,
    read_seed_text,
)
from charlm.cli.options import character_set, command_line_options, unescaped
from charlm.cli.output import is_terminal
from charlm.config import DEFAULT_LENGTH, CandidateFilter, GenerationConfig
from charlm.config.patterns import user_pattern
from charlm.errors import ConfigError

# Options that print several texts, or one that is complete.
FILTERS = (
    *("--best-of", "--match", "--unique", "--novel"),
    *("--min-distance", "--unique-by", "--novel-by"),
)
SEVERAL = ("--seed-file", "--count", *FILTERS, "--sort", "--jsonl", "--beam", "--lexicon")
ATTENTION = ("--show-attention", "--attention-svg")
# Each option, and those that exclude it. A backward model has an ending without --ending.
EXCLUDED_BY = {
    "--seed": ("--seed-file",),
    "-n -1": SEVERAL,
    "--top-tokens": ("--ending", "--count", *FILTERS),
    "--interactive": ("--seed", "--ending", "--top-tokens", *SEVERAL),
    "an ending": (
        *(*FILTERS, "--sort", "--jsonl", "--show-probabilities", "--beam", "--lexicon"),
        *ATTENTION,
    ),
    **dict.fromkeys(ATTENTION, (*SEVERAL, "--top-tokens", "--interactive", "--show-probabilities")),
    "--lexicon": FILTERS,
}


def generate_command(
    context: typer.Context,
    model: ModelsOption = None,
    mix: MixOption = None,
    seed: SeedOption = "",
    seed_file: SeedFileOption = None,
    ending: EndingOption = None,
    rng_seed: RngSeedOption = None,
    length: LengthOption = None,
    words: WordsOption = None,
    lines: LinesOption = None,
    sentences: SentencesOption = None,
    stop: StopOption = None,
    keep_stop: KeepStopOption = False,
    until: UntilOption = None,
    allow_chars: AllowCharsOption = None,
    forbid_chars: ForbidCharsOption = GenerationConfig.forbid_chars,
    max_width: MaxWidthOption = None,
    seed_weight: SeedWeightOption = GenerationConfig.seed_weight,
    no_repeat_ngram: NoRepeatNgramOption = GenerationConfig.no_repeat_ngram,
    repetition_penalty: RepetitionPenaltyOption = GenerationConfig.repetition_penalty,
    repetition_window: RepetitionWindowOption = GenerationConfig.repetition_window,
    temperature: TemperatureOption = None,
    top_k: TopKOption = GenerationConfig.top_k,
    top_p: TopPOption = GenerationConfig.top_p,
    min_p: MinPOption = GenerationConfig.min_p,
    typical_p: TypicalPOption = GenerationConfig.typical_p,
    beam: BeamOption = GenerationConfig.beam,
    lexicon: LexiconOption = None,
    show_attention: ShowAttentionOption = False,
    attention_svg: AttentionSvgOption = None,
    count: CountOption = CandidateFilter.count,
    best_of: BestOfOption = CandidateFilter.best_of,
    match: MatchOption = None,
    unique: UniqueOption = False,
    novel: NovelOption = False,
    min_distance: MinDistanceOption = CandidateFilter.min_distance,
    unique_by: UniqueByOption = None,
    novel_by: NovelByOption = None,
    training_text: TrainingTextOption = None,
    attempts: AttemptsOption = CandidateFilter.attempts,
    sort: SortOption = None,
    jsonl: JsonlOption = False,
    no_echo: NoEchoOption = False,
    show_probabilities: ShowProbabilitiesOption = False,
    top_tokens: TopTokensOption = None,
    interactive: InteractiveOption = False,
) -> None:
    """Generate text that continues a seed text, and print it as it is generated.

    A model of lines generates lines; a model of pairs answers the seed text.

    Example: charlm generate --seed "This is" -n 300 --temperature 0.7
    """
    settings = _options_of(GenerationConfig, context) | {
        "allow_chars": None if allow_chars is None else character_set(allow_chars),
        "forbid_chars": character_set(forbid_chars),
        "stop": tuple(map(unescaped, stop or ())),
        "length": None if length == -1 else length,
    }
    for name in ("length", "temperature"):  # whose defaults depend on the model
        if context.params[name] is None:
            del settings[name]
    _check_values(length, rng_seed, top_tokens, ending, allow_chars, forbid_chars)
    config = GenerationConfig.from_settings(settings)
    candidate_filter = CandidateFilter(
        **_options_of(CandidateFilter, context),
        known_fields=_known_fields(novel_by, training_text or []),
    )
    used = _used_options(context) | ({"-n -1"} if length == -1 else set())
    _check_combinations(used)
    if keep_stop and not stop:
        raise ConfigError("--keep-stop needs a --stop")
    if interactive and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise ConfigError("--interactive needs a terminal", hint="in a pipe use --seed-file -")
    seed_text = read_seed_text(seed) if seed_file is None else ""
    ending = None if ending is None else unescaped(ending)

    from charlm.cli.generate import answers, printing  # NumPy, which --help does not need

    loaded = printing.load(model or [], mix)
    has_ending = ending is not None or loaded.config.direction == "backward"
    if has_ending:
        _check_combinations(used | {"an ending"})
    if loaded.config.is_of_classes:
        from charlm.cli.generate.classes import print_classes

        flags = {flag for _, flag, _ in command_line_options(context)}
        print_classes(loaded, flags, seed_text, seed_file, is_jsonl=jsonl)
        return
    task = loaded.config.task
    has_seeds = seed_file is not None or interactive or has_ending
    printing.check_for_task(loaded.config, None if has_seeds else seed_text, lines)
    if seed_file is not None and task == "text" and not has_ending:
        settings |= _seed_line_settings(config, length, lines, jsonl=jsonl)
    batches = [[seed_text]] if seed_file is None else read_seed_batches(seed_file, loaded.config)
    batches = note_out_of_vocabulary(batches, loaded, ending or "")
    printer = printing.Printer(
        task=task,
        rng_seed=secrets.randbits(63) if rng_seed is None else rng_seed,
        has_echo=not no_echo,
        has_colours=show_probabilities,
        is_jsonl=jsonl,
        is_one_line_each=task != "text" or settings["lines"] == 1,
        has_seed_lines=seed_file is not None,
        has_default_length=length is None
        and (loaded.config.is_of_documents or not config.has_only_length),
        separator=loaded.config.document_separator if loaded.config.predicts_end else None,
        stops=config.stop,
    )
    if show_attention or attention_svg is not None:
        answers.print_attention(
            loaded, printer, seed_text, attention_svg, settings, is_shown=show_attention
        )
    elif interactive:
        printing.print_interactively(loaded, printer, settings)
    elif top_tokens is not None:
        printing.print_top_tokens(loaded, printer, batches, top_tokens)
    elif has_ending:
        printing.print_endings(loaded, printer, batches, ending, count, settings)
    elif used.isdisjoint(SEVERAL):
        printing.print_stream(loaded, printer, batches, settings)
    else:
        known = answers.load_lexicon(loaded, lexicon or [])
        printing.print_texts(
            loaded, printer, batches, candidate_filter, settings, sort=sort, lexicon=known
        )


def _options_of(config: type[Any], context: typer.Context) -> dict[str, Any]:
    """Return the values of the options that are fields of a config, by name."""
    names = {field.name for field in fields(config)} & context.params.keys()
    return {name: context.params[name] for name in names}


def _known_fields(pattern: str | None, training_texts: Sequence[str]) -> frozenset[str]:
    """Return the fields of the lines of training texts.

    Raises:
        ConfigError: If there is a pattern without training texts, or the reverse, or no pattern.
    """
    if pattern is None:
        if training_texts:
            raise ConfigError("--training-text needs --novel-by")
        return frozenset()
    if not training_texts:
        raise ConfigError("--novel-by needs --training-text, the file that it compares with")
    from charlm.corpus.line_batches import read_line_batches  # NumPy, which --help does not need

    fields_of = user_pattern("--novel-by", pattern).field
    lines = (
        line
        for name in training_texts
        for batch in read_line_batches(name, is_strict=False)
        for line in batch.lines
    )
    return frozenset(field for line in lines if (field := fields_of(line)) is not None)


def _used_options(context: typer.Context) -> set[str]:
    """Return the names of the options whose values are not the defaults."""
    return {
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name
        and (value := context.params.get(parameter.name)) != parameter.default
        and value not in ([], ())  # of an option that may be repeated
    }


def _check_values(
    length: int | None,
    rng_seed: int | None,
    top_tokens: int | None,
    ending: str | None,
    allow_chars: str | None,
    forbid_chars: str,
) -> None:
    """Raise CharlmError for values that no config checks."""
    if length is not None and length < -1:
        raise ConfigError(f"length must be at least 0, or -1 for a text without end, got {length}")
    if rng_seed is not None and rng_seed < 0:
        raise ConfigError(f"rng-seed must be at least 0, got {rng_seed}")
    if top_tokens is not None and top_tokens < 1:
        raise ConfigError(f"top-tokens must be at least 1, got {top_tokens}")
    check_unicode(ending or "", "the ending")
    check_unicode(allow_chars or "", "the set of --allow-chars")
    check_unicode(forbid_chars, "the set of --forbid-chars")


def _check_combinations(used: set[str]) -> None:
    """Raise ConfigError if two of the used options exclude one another."""
    for option, others in EXCLUDED_BY.items():
        for other in others:
            if {option, other} <= used:
                raise ConfigError(f"{option} and {other} exclude one another")


def _seed_line_settings(
    config: GenerationConfig, length: int | None, lines: int | None, *, jsonl: bool
) -> dict[str, Any]:
    """Return the settings that complete seed lines of a running text: one line each."""
    if lines is not None and lines > 1 and not jsonl:
        raise ConfigError(
            "--seed-file completes lines, so --lines can only be 1",
            hint="use --jsonl for texts of several lines",
        )
    settings: dict[str, Any] = {"lines": lines or 1}
    if config.has_only_length and length is None:
        settings["length"] = DEFAULT_LENGTH
    return settings
