"""`charlm generate` in pipes."""

import subprocess

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

    assert generate("--seed", "-", *arguments, stdin=b"where did the dog\n").stdout == given.stdout


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

    assert missing.returncode == 1
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
        (("-n", "-5"), "length must be at least 0, got -5"),
        (("--count", "0"), "count must be at least 1, got 0"),
        (("--rng-seed", "-1"), "rng-seed must be at least 0, got -1"),
        (("--tempp", "1"), "No such option"),
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

        assert result.returncode == 1
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

    assert result.returncode == 1
    assert result.stderr == b"error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("wanted", ["--help", "--version"])
def test_help_on_a_full_disk_is_one_line(charlm_path, wanted):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [charlm_path, wanted], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert result.returncode == 1
    assert b"No space left on device" in result.stderr
    assert b"Traceback" not in result.stderr and result.stderr.count(b"\n") == 1


def test_a_closed_stdout_is_one_line(charlm_path, verse_model_path):
    result = subprocess.run(
        ["sh", "-c", '"$0" generate -m "$1" -n 10 >&-', charlm_path, str(verse_model_path)],
        stderr=subprocess.PIPE,
        check=False,
    )

    assert (result.returncode, result.stderr) == (1, b"error: standard output is closed\n")
