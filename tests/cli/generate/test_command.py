"""`charlm generate` in pipes."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture
def generate(charlm, verse_model_path):
    def run(*arguments, **more):
        return charlm("generate", "-m", verse_model_path, *arguments, **more)

    return run


def test_the_seed_is_echoed_and_continued(generate):
    result = generate("--seed", "where did the dog", "-n", 23, "--temperature", 0)

    assert result.stdout == b"where did the dog go? the dog went home."
    assert result.stderr == b""


def test_known_short_forms_mean_the_same(generate):
    long = generate("--seed", "the", "--length", 50, "--temperature", 1, "--rng-seed", 3)
    short = generate("--prompt", "the", "-n", 50, "--temp", 1, "--rng-seed", 3)

    assert long.stdout == short.stdout


def test_length_counts_characters_and_not_bytes(generate):
    result = generate("--seed", "the cat went to the ca", "-n", 2, "--temperature", 0)

    assert result.stdout.decode() == "the cat went to the café"


def test_the_seed_may_come_from_stdin_less_a_final_newline(generate):
    arguments = ("-n", 23, "--temperature", 0)
    given = generate("--seed", "where did the dog", *arguments)

    for mark in (b"", b"\xef\xbb\xbf"):  # UTF-8's, which is no part of the seed
        stdin = mark + b"where did the dog\n"
        assert generate("--seed", "-", *arguments, stdin=stdin).stdout == given.stdout


def test_without_an_rng_seed_texts_differ(generate):
    texts = {generate("-n", 60, "--temperature", 2).stdout for _ in range(2)}

    assert len(texts) == 2


def test_count_makes_several_texts_set_apart_by_an_empty_line(generate):
    alone = generate("--seed", "the", "-n", 20, "--rng-seed", 1).stdout
    texts = generate("--seed", "the", "-n", 20, "--rng-seed", 1, "--count", 3).stdout

    assert texts.startswith(alone + b"\n\nthe")
    assert texts.endswith(b"\n") and not texts.endswith(b"\n\n")
    assert len(texts.decode()) == 3 * 23 + 2 + 2 + 1


def test_text_passes_unchanged_whatever_the_locale(generate):
    seed = "[bold]x[/bold] :smile: " + "wide " * 100 + "café 客\t\x1b[31m\r\n"
    for env in ({}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}):
        result = generate("--seed", seed, "-n", 5, env=env)

        assert result.stdout.decode().startswith(seed)


def test_the_model_is_found_by_flag_then_environment_then_here(
    charlm, verse_model_path, tmp_path, verse_checkpoint
):
    missing = charlm("generate")
    by_environment = charlm("generate", "-n", 3, env={"CHARLM_MODEL": str(verse_model_path)})
    verse_checkpoint.save(tmp_path / "model.safetensors")
    here = charlm("generate", "-n", 3)

    assert missing.returncode == 2
    assert b"there is no model at model.safetensors" in missing.stderr
    assert b"hint: train one with `charlm train CORPUS`" in missing.stderr
    assert by_environment.returncode == here.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--temperature", "-1"), "temperature must be at least 0, got -1"),
        (("--top-p", "0"), "top-p must be above 0 and at most 1, got 0"),
        (("--top-p", "1.5"), "top-p must be above 0 and at most 1, got 1.5"),
        (("--top-k", "-3"), "top-k must be a whole number"),
        (("-n", "-5"), "length must be at least 0, or -1 for a text without end, got -5"),
        (("--count", "0"), "count must be a whole number of at least 1, got 0"),
        (("--min-p", "2"), "min-p must be at least 0 and at most 1, got 2"),
        (("--typical-p", "nan"), "typical-p must be finite and above 0 and at most 1, got nan"),
        (("--words", "0"), "words must be a whole number of at least 1, got 0"),
        (("--stop", ""), "stop must not be empty"),
        (("--until", "("), "until is not a valid regular expression"),
        (("--match", "["), "match is not a valid regular expression"),
        (("--keep-stop",), "--keep-stop needs a --stop"),
        (("--allow-chars", "z-a"), "the range z-a ends before it begins"),
        (("--allow-chars", "a", "--forbid-chars", "a"), "no character is allowed"),
        (("-n", "-1", "--count", "2"), "-n -1 and --count exclude one another"),
        (("-n", "-1", "--jsonl"), "-n -1 and --jsonl exclude one another"),
        (("--seed", "a", "--seed-file", "-"), "--seed and --seed-file exclude one another"),
        (("-i", "--jsonl"), "--interactive and --jsonl exclude one another"),
        (("--interactive",), "--interactive needs a terminal"),
        (("--top-tokens", "0"), "top-tokens must be at least 1, got 0"),
        (("--mix", "0.5"), "--mix needs two models"),
        (("--rng-seed", "-1"), "rng-seed must be at least 0, got -1"),
        (("--tempp", "1"), "no such option"),
    ],
)
def test_bad_usage_exits_2_before_the_model_is_opened(charlm, arguments, message):
    result = charlm("generate", "-m", "nowhere", *arguments)

    assert result.returncode == 2
    assert message in result.stderr.decode()


def test_a_number_as_seed_text_gets_a_hint(generate):
    result = generate("--seed", "42", "-n", 1)

    assert result.stdout.startswith(b"42")
    assert b"--rng-seed" in result.stderr


def test_a_seed_that_is_no_text_is_an_error(generate):
    for arguments, stdin in (
        (("--seed", "-"), b"\xff"),
        (("--seed", b"\xff".decode("utf-8", "surrogateescape")), b""),
    ):
        result = generate(*arguments, stdin=stdin)

        assert result.returncode == 2
        assert b"is not UTF-8" in result.stderr
        assert result.stdout == b""


def test_a_closed_pipe_ends_it_quietly(charlm_path, verse_model_path):
    with subprocess.Popen(
        [charlm_path, "generate", "-m", str(verse_model_path), "-n", "1000000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        first = process.stdout.read(100)  # text comes as it is made
        process.stdout.close()
        talk = process.stderr.read()
        status = process.wait(timeout=10)

    assert len(first) == 100
    assert (talk, status) == (b"", 0)


def test_a_full_disk_is_one_line(charlm_path, verse_model_path):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [charlm_path, "generate", "-m", str(verse_model_path), "-n", "10"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert result.returncode == 2
    assert result.stderr == b"error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("wanted", ["--help", "--version"])
def test_help_on_a_full_disk_is_one_line(charlm_path, wanted):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [charlm_path, wanted], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert result.returncode == 2
    assert b"No space left on device" in result.stderr
    assert b"Traceback" not in result.stderr and result.stderr.count(b"\n") == 1


def test_a_closed_stdout_is_one_line(charlm_path, verse_model_path):
    result = subprocess.run(
        ["sh", "-c", '"$0" generate -m "$1" --seed the -n 10 >&-', charlm_path, verse_model_path],
        stderr=subprocess.PIPE,
        check=False,
    )

    assert (result.returncode, result.stderr) == (2, b"error: standard output is closed\n")


def lines_of(result):
    assert result.returncode == 0, result.stderr
    return result.stdout.decode().splitlines()


def test_a_text_stops_at_the_criterion_of_its_option(generate):
    how = ("--seed", "where did the dog", "--temperature", 0)
    for option, wanted in (
        (("--words", 2), b" go? the"),
        (("--sentences", 2), b" go? the dog went home."),
        (("--lines", 1), b" go? the dog went home.\n"),
        (("--stop", "e dog"), b" go? th"),
        (("--stop", "cat", "--stop", "e dog", "--keep-stop"), b" go? the dog"),
        (("--until", "w.*o"), b" go? the dog went ho"),
        (("--words", 9, "-n", 5), b" go? "),
    ):
        result = generate(*how, *option)

        assert result.stdout == b"where did the dog" + wanted, option


def test_the_seed_may_be_left_out(generate):
    result = generate("--seed", "where did the dog", "-n", 4, "--temperature", 0, "--no-echo")

    assert result.stdout == b" go?"


def test_a_text_without_end_goes_on_until_nobody_listens(charlm_path, verse_model_path):
    result = subprocess.run(
        f"{charlm_path} generate -m {verse_model_path} -n -1 | head -c 2000 | wc -c",
        shell=True, capture_output=True, timeout=60, check=True,
    )  # fmt: skip

    assert (result.stdout.strip(), result.stderr) == (b"2000", b"")


def test_constraints_hold(generate):
    allowed = generate("-n", 200, "--allow-chars", r"a-e \n", "--temperature", 2, "--rng-seed", 1)
    narrow = generate("-n", 200, "--max-width", 12, "--rng-seed", 1)
    forbidden = generate("-n", 200, "--forbid-chars", "e", "--rng-seed", 1)

    assert set("ade \n") <= set(allowed.stdout.decode()) <= set("abcde \n")
    assert max(map(len, lines_of(narrow))) == 12
    assert "e" not in forbidden.stdout.decode() and len(forbidden.stdout.decode()) == 200


def test_seed_lines_are_completed_in_order_one_line_each(generate):
    seeds = ["the cat went", "where did the dog", "", "the dog went", "where did the cat"] * 30
    lines = lines_of(
        generate("--seed-file", "-", "--temperature", 0, stdin="\n".join(seeds).encode())
    )

    assert len(lines) == 150
    assert lines[0] == "the cat went to the café."
    assert lines[1] == "where did the dog go? the dog went home."
    assert all(line.startswith(seed) for line, seed in zip(lines, seeds, strict=True))
    assert lines[:5] * 30 == lines


def test_seed_lines_of_a_pipe_are_answered_as_they_come(charlm_path, verse_model_path):
    command = [charlm_path, "generate", "-m", str(verse_model_path), "--seed-file", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for seed in (b"the cat went", b"the dog", b"where"):
            process.stdin.write(seed + b"\n")
            process.stdin.flush()

            assert process.stdout.readline().startswith(seed)
        process.stdin.close()

        assert process.stdout.read() == b""
        assert process.wait(timeout=10) == 0


def test_a_seed_line_that_is_no_text_ends_it_after_those_before(generate):
    result = generate("--seed-file", "-", "-n", 3, stdin=b"the\ncat\n\xff\ndog\n")

    assert [line[:3] for line in result.stdout.splitlines()] == [b"the", b"cat"]
    assert result.returncode == 2
    assert b"line 3, is not UTF-8: byte 0xff at offset 0" in result.stderr


def test_json_has_every_field_of_a_text(generate):
    how = ("--seed", "the cat", "--count", 3, "--rng-seed", 7, "--words", 3)
    found = [json.loads(line) for line in lines_of(generate(*how, "--jsonl"))]
    plain = generate(*how).stdout.decode()

    assert [each["number"] for each in found] == [0, 1, 2]
    assert {each["rng_seed"] for each in found} == {7}
    assert plain == "\n\n".join("the cat" + each["text"] for each in found) + "\n"
    for each in found:
        assert set(each) == {
            "seed",
            "text",
            "tokens",
            "nats",
            "finish_reason",
            "number",
            "rng_seed",
        }
        assert each["seed"] == "the cat"
        assert each["finish_reason"] == "words"
        assert each["tokens"] == len(each["text"]) + 1  # the space after the third word
        assert each["nats"] > 0


def test_nats_equal_those_of_eval(charlm, generate, verse_model_path):
    [line] = lines_of(generate("-n", 60, "--jsonl", "--rng-seed", 1, "--temperature", 1.2))
    text = json.loads(line)
    judged = charlm("eval", "-m", verse_model_path, "--json", stdin=text["text"].encode())

    assert json.loads(judged.stdout)["nats"] == pytest.approx(text["nats"], rel=1e-4)


def test_rejected_texts_are_counted_in_a_note(generate):
    how = ("-n", 5, "--match", "[0-9]", "--attempts", 4)
    result = generate("--seed", "the", "--count", 3, *how)
    lines = generate("--seed-file", "-", *how, stdin=b"the\n4\ncat")

    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == (
        b"note: 3 texts could not be generated in 4 attempts: none passed --match '[0-9]'; "
        b"--attempts allows more\n"
    )
    assert [line[:1] for line in lines.stdout.split(b"\n")] == [b"", b"4", b"", b""]
    assert b"note: 2 texts could not be generated in 4 attempts: none" in lines.stderr


def test_the_likeliest_texts_come_first(generate):
    how = ("-n", 9, "--count", 12, "--rng-seed", 4, "--temperature", 1.5, "--jsonl")
    as_drawn = [json.loads(line) for line in lines_of(generate(*how))]
    likely = [json.loads(line) for line in lines_of(generate(*how, "--sort", "likely"))]

    assert [text["nats"] for text in likely] == sorted(text["nats"] for text in as_drawn)
    assert [text["nats"] for text in as_drawn] != [text["nats"] for text in likely]


def test_fields_of_the_training_text_are_not_printed(generate, tmp_path):
    """The field is the first letter; all texts begin with the letters that remain."""
    (tmp_path / "known.txt").write_text("the\nwhere\n")
    how = ("-n", 3, "--count", 20, "--temperature", 2, "--allow-chars", "twca", "--rng-seed", 1)
    how += ("--novel-by", "^.", "--training-text", "known.txt", "--attempts", 10_000)
    texts = lines_of(generate(*how, "--jsonl"))

    assert {json.loads(text)["text"][0] for text in texts} <= {"c", "a"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--novel-by", "x"), b"--novel-by needs --training-text"),
        (("--training-text", "x"), b"--training-text needs --novel-by"),
        (("--unique-by", "("), b"unique-by is not a valid regular expression"),
        (("--min-distance", "3"), b"min-distance must be a whole number from 0 to 2"),
        (("--min-distance", "2"), b"--min-distance needs a model of lines"),
        (("--sort", "long"), b"--sort"),
    ],
)
def test_filters_that_cannot_work_are_errors(generate, arguments, message):
    result = generate(*arguments)

    assert result.returncode == 2
    assert message in result.stderr


def test_new_text_has_no_long_passage_of_the_training_text(generate, verse_path):
    how = ("-n", 120, "--rng-seed", 1, "--jsonl", "--count", 4, "--attempts", 300)
    known = verse_path.read_text(encoding="utf-8")
    learnt = [json.loads(line)["text"] for line in lines_of(generate(*how, "--temperature", 0.3))]
    new = [
        json.loads(line)["text"]
        for line in lines_of(generate(*how, "--temperature", 1.5, "--novel"))
    ]

    def has_passage(text):
        return any(text[place : place + 47] in known for place in range(len(text) - 46))

    assert all(map(has_passage, learnt))
    assert not any(map(has_passage, new))


def test_two_models_are_mixed(charlm, verse_checkpoint, verse_model_path, tmp_path):
    how = ("-n", 40, "--rng-seed", 1)
    silent = dict(verse_checkpoint.arrays) | {
        "output.bias": np.where(
            np.arange(len(verse_checkpoint.arrays["output.bias"])) == 122, 99, 0
        ).astype(np.float32)
    }
    replace(verse_checkpoint, arrays=silent).save(tmp_path / "z")  # says z, and nothing else
    said = [
        charlm("generate", "-m", verse_model_path, "-m", "z", "--mix", share, *how).stdout.decode()
        for share in (0, 0.5, 1)
    ]

    assert said[0] == "z" * 40
    assert 5 < said[1].count("z") < 35
    assert said[2] == charlm("generate", "-m", verse_model_path, *how).stdout.decode()


def test_the_likeliest_next_tokens_are_a_table_or_json(generate):
    table = lines_of(generate("--seed", "where did the do", "--top-tokens", 3))
    told = json.loads(generate("--seed", "where did the do", "--top-tokens", 3, "--jsonl").stdout)

    two = lines_of(generate("--seed-file", "-", "--top-tokens", 1, stdin=b"the\ncat\n"))

    assert len(two) == 5
    assert table[0] == "token\tprobability\tbits"
    assert table[1].startswith('"g"\t0.9')
    assert len(table) == 4
    assert told["top_tokens"][0]["token"] == "g"
    assert [f"{each['probability']:.6f}" for each in told["top_tokens"]] == [
        line.split("\t")[1] for line in table[1:]
    ]


def test_probabilities_are_shown_in_colour_on_a_terminal_only(generate):
    how = ("--seed", "the", "-n", 30, "--rng-seed", 1)

    shown = generate(*how, "--show-probabilities")

    assert shown.stdout == generate(*how).stdout
    assert shown.stderr == b"note: --show-probabilities needs a terminal with colours\n"


def test_a_line_end_can_be_written_as_an_option(generate):
    result = generate("--seed", "the dog", "--temperature", 0, "--stop", r"log.\nw")

    assert result.stdout.endswith(b"the dog sat on the ")


def test_a_text_that_cannot_go_on_says_so(generate):
    how = ("--seed", "the", "--allow-chars", "a-d", "--max-width", 6, "--rng-seed", 1)
    result = generate(*how)
    [told] = map(json.loads, lines_of(generate(*how, "--jsonl")))

    assert len(result.stdout) == 6
    assert result.stderr == b"note: a text stops early: no character that is allowed can follow\n"
    assert told["finish_reason"] == "dead end"


def test_a_text_that_nothing_stops_but_its_length_says_so(generate):
    endless = generate("--seed", "the", "--stop", "zebra")
    short = generate("--seed", "the", "--stop", "zebra", "-n", 9)

    assert len(endless.stdout.decode()) == 100_003
    assert (
        endless.stderr
        == "note: a text stops by its default length: no other criterion stopped it; --stop waits "
        "for “zebra”\n".encode()
    )
    assert short.stderr == b""


def test_a_byte_order_mark_is_no_part_of_a_seed_line(generate):
    result = generate("--seed-file", "-", "-n", 0, stdin=b"\xef\xbb\xbfthe\ncat\n")

    assert result.stdout == b"the\ncat\n"


def test_a_seed_that_is_none_is_told_before_anything_is_shown(charlm, unigram_checkpoint, tmp_path):
    unigram_checkpoint({"a": 0.5, None: 0.5}, task="lines").save(tmp_path / "lines")
    result = charlm("generate", "-m", "lines", "--seed", "a\nb")

    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"error: the seed text")
    assert b"contains a line end" in result.stderr


def test_input_that_is_closed_is_one_line(charlm_path, verse_model_path):
    for option in ("--seed", "--seed-file"):
        result = subprocess.run(
            ["sh", "-c", f'"$0" generate -m "$1" {option} - <&-', charlm_path, verse_model_path],
            capture_output=True, check=False,
        )  # fmt: skip

        assert (result.returncode, result.stdout) == (2, b"")
        assert result.stderr.endswith(b"reads stdin, which is closed\n")


def test_options_that_a_mode_has_no_use_for_are_refused(generate):
    for arguments, message in (
        (("--top-tokens", 3, "--count", 2), b"--top-tokens and --count exclude one another"),
        (("--seed-file", "-", "--lines", 2), b"--lines can only be 1"),
        (("-m", "b", "-m", "c"), b"--model can be used once, or twice for a mixture, got 3"),
        (("--ending", "x", "--jsonl"), b"an ending and --jsonl exclude one another"),
        (("--ending", "x", "--words", 3), b"a text before an ending has a length, but no other"),
    ):
        result = generate(*arguments, stdin=b"a\n")

        assert (result.returncode, result.stdout) == (2, b"")
        assert message in result.stderr


def test_seed_lines_of_several_lines_are_told_as_json(generate):
    how = ("--seed-file", "-", "--temperature", 0, "--jsonl")
    seeds = b"where did the dog\nthe cat went\n"
    one = [json.loads(line) for line in lines_of(generate(*how, stdin=seeds))]
    two = [json.loads(line) for line in lines_of(generate(*how, "--lines", 2, stdin=seeds))]

    assert [each["text"].count("\n") for each in one] == [1, 1]
    assert [each["text"].count("\n") for each in two] == [2, 2]
    assert [each["finish_reason"] for each in one + two] == ["lines"] * 4


@pytest.mark.parametrize("seed", range(3))
def test_the_first_of_several_texts_has_the_figures_of_a_single_one(generate, seed):
    """But for the last digit, where a difference in the eighth one may round it up or down."""
    how = ("-n", 200, "--rng-seed", seed, "--jsonl", "--temperature", 1.2)
    alone, of_two, of_seven = (
        json.loads(lines_of(generate(*how, "--count", count))[0]) for count in (1, 2, 7)
    )

    for text in (of_two, of_seven):
        assert text["nats"] == pytest.approx(alone["nats"], abs=1.001e-3)
        assert text["nats"] == round(text["nats"], 3)
        assert text | {"nats": alone["nats"]} == alone
