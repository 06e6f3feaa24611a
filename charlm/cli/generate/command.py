"""`charlm generate`: let a model speak."""

import secrets
import sys

from charlm.cli.generate.options import (
    AllowCharsOption,
    BestOfOption,
    CountOption,
    EndingOption,
    ForbidCharsOption,
    InteractiveOption,
    JsonlOption,
    KeepStopOption,
    LengthOption,
    LinesOption,
    MatchOption,
    MaxWidthOption,
    MinPOption,
    MixOption,
    ModelsOption,
    NoEchoOption,
    NoRepeatNgramOption,
    NovelOption,
    RepetitionPenaltyOption,
    RepetitionWindowOption,
    RngSeedOption,
    SeedFileOption,
    SeedOption,
    SentencesOption,
    ShowProbabilitiesOption,
    StopOption,
    TemperatureOption,
    TopChoicesOption,
    TopKOption,
    TopPOption,
    TriesOption,
    TypicalPOption,
    UniqueOption,
    UntilOption,
    WordsOption,
)
from charlm.cli.generate.seeds import check_unicode, noting_unlisted, seed_batches, seed_text
from charlm.cli.options import character_set, refuse, unescaped
from charlm.cli.output import is_terminal
from charlm.config import DEFAULT_LENGTH, CandidateFilter, SamplingConfig, Speech, configs_of
from charlm.errors import ConfigError


def generate_command(
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
    forbid_chars: ForbidCharsOption = SamplingConfig.forbid_chars,
    max_width: MaxWidthOption = None,
    no_repeat_ngram: NoRepeatNgramOption = SamplingConfig.no_repeat_ngram,
    repetition_penalty: RepetitionPenaltyOption = SamplingConfig.repetition_penalty,
    repetition_window: RepetitionWindowOption = SamplingConfig.repetition_window,
    temperature: TemperatureOption = SamplingConfig.temperature,
    top_k: TopKOption = SamplingConfig.top_k,
    top_p: TopPOption = SamplingConfig.top_p,
    min_p: MinPOption = SamplingConfig.min_p,
    typical_p: TypicalPOption = SamplingConfig.typical_p,
    count: CountOption = CandidateFilter.count,
    best_of: BestOfOption = CandidateFilter.best_of,
    match: MatchOption = None,
    unique: UniqueOption = False,
    novel: NovelOption = False,
    tries: TriesOption = CandidateFilter.tries,
    jsonl: JsonlOption = False,
    no_echo: NoEchoOption = False,
    show_probabilities: ShowProbabilitiesOption = False,
    top_choices: TopChoicesOption = None,
    interactive: InteractiveOption = False,
) -> None:
    """Write text that continues a seed text, as it is made.

    A model of lines writes lines; a model of pairs answers the seed text.

    Example: charlm generate --seed "This is" -n 300 --temperature 0.7
    """
    if length is not None and length < -1:
        raise ConfigError(f"length must be at least 0, or -1 to go on for ever, got {length}")
    if rng_seed is not None and rng_seed < 0:
        raise ConfigError(f"rng-seed must be at least 0, got {rng_seed}")
    if top_choices is not None and top_choices < 1:
        raise ConfigError(f"top-choices must be at least 1, got {top_choices}")
    if keep_stop and not stop:
        raise ConfigError("--keep-stop needs a --stop")
    for name, text in (
        ("the ending", ending),
        ("the set of --allow-chars", allow_chars),
        ("the set of --forbid-chars", forbid_chars),
    ):
        check_unicode(text or "", name)
    speech = Speech(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
        repetition_penalty=repetition_penalty,
        repetition_window=repetition_window,
        no_repeat_ngram=no_repeat_ngram,
        allow_chars=None if allow_chars is None else character_set(allow_chars),
        forbid_chars=character_set(forbid_chars),
        max_width=max_width,
        words=words,
        lines=lines,
        sentences=sentences,
        stop=tuple(map(unescaped, stop or ())),
        keep_stop=keep_stop,
        until=until,
    )
    if length is not None:
        speech["length"] = None if length == -1 else length
    limits = configs_of(speech)[1]  # before the model loads
    selection = CandidateFilter(
        count=count, best_of=best_of, match=match, unique=unique, novel=novel, tries=tries
    )
    choosing = {
        "--best-of": best_of > 1,
        "--match": match is not None,
        "--unique": unique,
        "--novel": novel,
        "--jsonl": jsonl,
    }
    many = {"--seed-file": seed_file is not None, "--count": count > 1, **choosing}
    refuse("--seed", {"--seed-file": bool(seed) and seed_file is not None})
    if length == -1:
        refuse("-n -1", many)
    if top_choices is not None:
        others = {"--ending": ending is not None, **many}
        refuse("--top-choices", {**others, "--seed-file": False, "--jsonl": False})
    if interactive:
        others = {"--seed": bool(seed), "--ending": ending is not None}
        refuse("--interactive", {**others, "--top-choices": top_choices is not None, **many})
    if interactive and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise ConfigError("--interactive needs a terminal", hint="in a pipe use --seed-file -")
    only_seed = seed_text(seed) if seed_file is None else ""

    from charlm.cli.generate import show  # NumPy, which --help does not need
    from charlm.inference.sequences import check_example

    speaker = show.load(model or [], mix)
    task = speaker.config.task
    if lines is not None and task != "text":
        raise ConfigError(
            f"--lines counts line ends, which a model of {task} never writes",
            hint=f"--count {lines} writes so many texts, one a line",
        )
    check_example(only_seed, task, "seed text")
    leads_up = ending is not None or speaker.config.direction == "backward"
    if leads_up:
        refuse("an ending", {**choosing, "--show-probabilities": show_probabilities})
    if seed_file is not None and task == "text" and not leads_up:
        # One line each, so a text ends where its line does.
        if lines is not None and lines > 1 and not jsonl:
            raise ConfigError(
                "--seed-file completes lines, so --lines can only be 1",
                hint="--jsonl holds texts of several lines",
            )
        if limits.is_length_alone and length is None:
            speech["length"] = DEFAULT_LENGTH
        speech["lines"] = lines or 1
    batches = [[only_seed]] if seed_file is None else seed_batches(seed_file, task)
    batches = noting_unlisted(batches, speaker.tokenizer, ending or "")
    out = show.Output(
        task=task,
        rng_seed=secrets.randbits(63) if rng_seed is None else rng_seed,
        is_echoed=not no_echo,
        is_coloured=show_probabilities,
        is_jsonl=jsonl,
        is_of_lines=task != "text" or speech["lines"] == 1,
        is_of_seed_lines=seed_file is not None,
        is_length_a_surprise=length is None and not limits.is_length_alone,
    )
    if interactive:
        show.converse(speaker, out, speech)
    elif top_choices is not None:
        show.choices(speaker, out, batches, top_choices)
    elif leads_up:
        show.endings(speaker, out, batches, ending, count, speech)
    elif not any(many.values()):
        show.one(speaker, out, batches, speech)
    else:
        show.texts(speaker, out, batches, selection, speech)
