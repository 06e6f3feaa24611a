"""How much of reading times a model's surprisal explains, as in the Natural Stories corpus.

    python benchmarks/reading_times.py words.tsv stories/ model.safetensors

words.tsv has a header and the columns story, zone, word, mean_rt, length, unigram_surprisal,
bigram_surprisal and trigram_surprisal; the folder has the text of story N as N.txt, one line each.
The base is a linear regression on the length, the unigram surprisal and the punctuation of a word
and of the word before it. The table shows how much more of the variance is explained when the
surprisals of a word and of the word before it are added: those of n-grams of books, and those of
the model. Only words for which all figures exist are used.
"""

import csv
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import charlm

CONTROLS = ("length", "unigram_surprisal", "punctuation")
NGRAMS = ("bigram_surprisal", "trigram_surprisal")


def explained(times: NDArray[np.float64], predictors: NDArray[np.float64]) -> float:
    """Return R², the share of the variance that a linear regression explains."""
    design = np.column_stack([np.ones(len(times)), predictors])
    fit, *_ = np.linalg.lstsq(design, times, rcond=None)
    return 1 - np.var(times - design @ fit) / np.var(times)


def main() -> None:
    """Print a table for the files that the arguments name."""
    table, folder, model_path = map(Path, sys.argv[1:])
    model = charlm.load(model_path)
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for story in sorted({row["story"] for row in rows}, key=int):
        words = model.score_tokens((folder / f"{story}.txt").read_text("utf-8")).by_word()
        of_story = [row for row in rows if row["story"] == story]
        for row, nats in zip(of_story, words.nats, strict=False):
            row["model"] = str(nats / np.log(2))
            row["punctuation"] = str(float(not row["word"].isalnum()))
    names = ("mean_rt", *CONTROLS, *NGRAMS, "model")
    pairs = [
        (before, row)
        for before, row in pairwise(rows)
        if before["story"] == row["story"] and all(before[n] and row[n] for n in names)
    ]
    values = {
        name: np.array([[float(before[name]), float(row[name])] for before, row in pairs])
        for name in names
    }
    times = values["mean_rt"][:, 1]
    controls = np.column_stack([values[name] for name in CONTROLS])
    base = explained(times, controls)
    print(
        f"{len(times):,} words; length, unigrams and punctuation explain {base:.4f} of the variance"
    )
    for name in (*NGRAMS, "model"):
        gain = explained(times, np.column_stack([controls, values[name]])) - base
        print(f"{name:18} adds {gain:.4f}")
    both = np.column_stack([controls, values["trigram_surprisal"], values["model"]])
    print(f"{'model and trigrams':18} add  {explained(times, both) - base:.4f}")


if __name__ == "__main__":
    main()
