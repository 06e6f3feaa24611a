"""Models of both directions: endings, text between a seed and an ending, scores."""

import json

import pytest

SMALL = ("--hidden-size", 32, "--embedding-size", 16, "--batch-size", 8, "--bptt-length", 32)


@pytest.fixture(scope="module")
def trained(run_charlm, verse_path, tmp_path_factory):
    """A folder with a model of both directions."""
    folder = tmp_path_factory.mktemp("directions")
    arguments = ("--direction", "both", "-o", "both", "--max-steps", 150, "--dropout", 0, *SMALL)
    assert run_charlm("train", verse_path, *arguments, cwd=folder).returncode == 0
    return folder


def test_text_leads_up_to_an_ending(charlm, trained):
    arguments = ("generate", "-m", "both", "--ending", " went home.", "-n", 30, "--rng-seed", 1)
    result = charlm(*arguments, cwd=trained)

    assert result.stderr == b""
    assert result.stdout.endswith(b" went home.")
    assert len(result.stdout.decode()) == 30 + len(" went home.")
    assert charlm(*arguments, cwd=trained).stdout == result.stdout


def test_text_goes_between_a_seed_and_an_ending(charlm, trained):
    result = charlm(
        "generate", "-m", "both", "--seed", "the cat", "--ending", " on the mat", "-n", 4,
        "--count", 3, cwd=trained,
    )  # fmt: skip
    texts = result.stdout.decode().split("\n\n")

    assert len(texts) == 3
    assert all(text.startswith("the cat") for text in texts)
    assert all(text.strip("\n").endswith(" on the mat") for text in texts)
    assert "the cat sat on the mat" in result.stdout.decode()


def test_seed_lines_and_an_ending_have_something_between(charlm, trained):
    result = charlm(
        "generate", "-m", "both", "--seed-file", "-", "--ending", " home.", "-n", 9, cwd=trained,
        stdin=b"where did\nthe dog\n",
    )  # fmt: skip
    first, second = result.stdout.decode().split("\n\nthe dog")

    assert first.startswith("where did") and first.endswith(" home.")
    assert (len(first), len(second)) == (9 + 9 + 6, 9 + 6 + 1)


def test_both_directions_are_scored_and_the_pseudo_likelihood_has_its_own_name(charlm, trained):
    def scored(*arguments):
        result = charlm(
            "eval", "-m", "both", "--json", *arguments, stdin=b"the cat sat on the mat", cwd=trained
        )
        return json.loads(result.stdout)

    forward, backward, both = (
        scored("--direction", name) for name in ("forward", "backward", "both")
    )

    assert scored() == forward
    assert forward["nats"] != backward["nats"]
    assert list(both) == ["pseudo_nats", "tokens", "pseudo_nats_per_token", "pseudo_perplexity"]
    assert both["pseudo_nats"] == pytest.approx(both["tokens"] * both["pseudo_nats_per_token"])
    assert both["pseudo_nats"] < min(forward["nats"], backward["nats"])


def test_info_shows_both_directions(charlm, trained, verse_path):
    shown = charlm("info", "both", cwd=trained).stdout.decode()
    memory = json.loads(
        charlm("info", "both", "--memory", verse_path, "--json", cwd=trained).stdout
    )

    assert "LSTM for each direction" in shown
    assert "backward.recurrent.0.weight_hh" in shown
    assert {row["direction"] for row in memory["gradient"]} == {"forward", "backward"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "--ending", "a"), "an ending needs a model of direction backward"),
        (
            ("generate", "--seed", "a", "--ending", "a"),
            "a seed text with an ending needs a model of direction both",
        ),
        (("eval", "--direction", "both"), "a pseudo-likelihood needs a model of direction both"),
    ],
)
def test_a_forward_model_has_no_endings(charlm, verse_model_path, arguments, message):
    result = charlm(*arguments, "-m", verse_model_path, stdin=b"a text")

    assert result.returncode == 2
    assert result.stdout == b""
    assert message in result.stderr.decode()
    assert "--direction both" in result.stderr.decode()


def test_pairs_have_one_direction(charlm):
    result = charlm("train", "missing.tsv", "--pairs", "--direction", "both")

    assert result.returncode == 2
    assert "pairs are read forward, not both" in result.stderr.decode()
    assert "swap the columns" in result.stderr.decode()
