"""Models that have learnt a language each tell which one a line is in."""

import json
from pathlib import Path

import pytest

TEXTS = Path(__file__).parent / "data"
LANGUAGES = {"english": "char", "german": "byte", "french": "bpe"}  # and their tokenizers
SHORTEST = 40  # characters
TRAINED = 200  # lines


@pytest.fixture
def lines():
    """The lines of each language."""
    return {
        language: (TEXTS / f"{language}.txt").read_text(encoding="utf-8").splitlines()
        for language in LANGUAGES
    }


def test_three_languages_are_told_apart_by_models_with_tokenizers_of_their_own(
    charlm, lines, tmp_path
):
    for language, tokenizer in LANGUAGES.items():
        text = tmp_path / f"{language}.txt"
        text.write_text("\n".join(lines[language][:TRAINED]), encoding="utf-8")
        trained = charlm(
            "train", text, "--lines", "--tokenizer", tokenizer, "--hidden-size", 96,
            "--max-steps", 250, "-o", f"{language}.safetensors", "--quiet",
        )  # fmt: skip
        assert trained.returncode == 0, trained.stderr
    models = [option for language in LANGUAGES for option in ("-m", f"{language}.safetensors")]
    unseen = [
        (language, line)
        for language in LANGUAGES
        for line in lines[language][TRAINED:]
        if len(line) >= SHORTEST
    ]
    stdin = "".join(f"{line}\n" for _, line in unseen).encode()
    told = charlm("eval", *models, "--per-line", "--json", stdin=stdin).stdout.splitlines()

    right = [
        json.loads(row)["best"] == language for row, (language, _) in zip(told, unseen, strict=True)
    ]
    assert len(right) == 180
    assert sum(right) / len(right) >= 0.99
