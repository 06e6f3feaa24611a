"""Small models, honest and complete, and what a stranger might make of their files.

A stranger knows how a file is signed: wherever there is something to sign, these are.
"""

import json
from copy import deepcopy
from itertools import product

import numpy as np
from safetensors.numpy import save

from charlm import tokenizers
from charlm.checkpoint import KIND, Checkpoint
from charlm.config import ModelConfig
from charlm.files import tensor_file
from charlm.fingerprint import Fingerprint
from charlm.parameters import parameters

TEXT = "the cat sat on the mat, and the dog sat on the log.\n" * 9
# As `charlm train` writes it.
PROVENANCE = {
    "corpus": [{"name": "verse.txt", "characters": 468, "bytes": 468, "sha256": "0" * 64}],
    "from": {
        "weights_sha256": "1" * 64,
        "corpus": [{"name": "old.txt", "characters": 4, "bytes": 4, "sha256": "2" * 64}],
    },
    "validation": {"characters": 68, "tokens": 68, "nats": 99.5, "bits_per_character": 2.111},
    "training": {"batch_size": 8, "learning_rate": 0.015},
    "chosen": ["hidden size 256, for there is little time"],
    "steps": 200,
    "epochs": 3.25,
    "seconds": 1.5,
    "charlm_version": "0.1.0",
}
# Texts, for some are no JSON, and some are JSON that Python would not write.
HOSTILE_VALUES = [
    *r"""null true false 0 1 -1 2 1.0 1.5 -0.0 1e308 1e999 -1e999 NaN -Infinity 4294967296
    18446744073709551616 "" "1" "NaN" "forward" "both" "word" "../../etc/passwd" "os.system"
    "http://localhost/" "\u001b]0;title\u0007\u001b[2J\r\n\u202e" "\ud800" "\u0000" [] {} [1,2]
    ["a","a"] ["\ud800"] [[],{}] {"a":1} {"a":1,"a":2} {"":null} { 0x10 'a' [1,]""".split(),
    "",
    "1" + 400 * "0",
    "-" + 4300 * "9",
    4300 * "9",
    "1" + 5000 * "0",
    json.dumps("long " * 20_000),
    "[" * 60 + "]" * 60,
    "[" * 900 + "]" * 900,
    "[" * 99_999 + "]" * 99_999,
    '{"a":' * 900 + "1" + "}" * 900,
    "[" + "0," * 50_000 + "0]",
]
PLACE, SIGNATURE = "\ue000", "\ue001"  # in facts, where other JSON is to stand


def honest(kind="char", *, is_complete=True, **config):
    """Return the facts and arrays of a model that has all a file can hold, or as little."""
    tokenizer = tokenizers.train(kind, [TEXT], vocab_size=None if kind in "byte char" else 40)
    config = ModelConfig(**{"embedding_size": 2, "hidden_size": 2, **config})
    generator = np.random.default_rng(0)
    arrays = {
        each.name: generator.standard_normal(each.shape, np.float32)
        for each in parameters(config, tokenizer.vocab_size)
    }
    made = Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays)
    if is_complete:
        made = Checkpoint(
            config=config,
            tokenizer=tokenizer,
            arrays=arrays,
            provenance=PROVENANCE,
            dynamic_rates={name: np.ones(len(each), np.float32) for name, each in arrays.items()},
            fingerprints=[
                Fingerprint.of_lines([["the cat"]], 1),
                Fingerprint.of_texts([[TEXT]], len(TEXT)),
            ],
            line_scores=np.linspace(1, 3, 5, dtype=np.float32),
        )
    metadata, arrays = made.to_parts()
    return {"format": KIND.format, "version": "0.1.0", **metadata}, dict(arrays)


def signed(metadata, arrays, *, kind=KIND):
    """Return the file of a model, with the SHA-256 of whatever it holds."""
    return with_json({**metadata, "sha256": SIGNATURE}, arrays, "null", kind=kind)


def with_json(metadata, arrays, text, *, kind=KIND):
    """Return the file of a model in whose facts `text` stands where PLACE does, signed."""
    whole = json.dumps(metadata).replace(json.dumps(PLACE), text)
    try:
        read = json.loads(whole)
        found = tensor_file.digest(read, arrays) if isinstance(read, dict) else ""
    except (ValueError, RecursionError):  # there is nothing that could be signed
        found = ""
    return save(arrays, {kind.key: whole.replace(json.dumps(SIGNATURE), json.dumps(found))})


def paths_of(value, path=()):
    """Yield where each fact stands in others, the containers, too."""
    yield path
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield from paths_of(value[key], (*path, key))


def placed(metadata, path, value):
    """Return the facts with a value at a path; without a value, without what stands there."""
    changed = {"metadata": deepcopy(metadata)}
    at, path = changed, ("metadata", *path)
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed["metadata"]


def lying_facts(metadata, arrays, *, within=(), values=HOSTILE_VALUES, kind=KIND, every=1):
    """Yield the name and file of every fact's replacement by every hostile value.

    Of all of them, in their order, one in so many.
    """
    metadata = {**metadata, "sha256": SIGNATURE}
    paths = [path for path in paths_of(metadata) if path[: len(within)] == within]
    for path, text in list(product(paths, [*values, None]))[::every]:
        name = ".".join(map(str, path)) or "all facts"
        if text is not None:
            file = with_json(placed(metadata, path, PLACE), arrays, text, kind=kind)
            yield f"{name} = {text[:20]} of {len(text)}", file
        elif path:
            yield f"no {name}", with_json(placed(metadata, path, None), arrays, "null", kind=kind)
