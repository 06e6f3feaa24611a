"""Small honest models, and hostile versions of their files.

An attacker can compute the SHA-256 that a file must hold, so the files have the right one.
"""

import json
from copy import deepcopy
from itertools import product

import numpy as np
from safetensors.numpy import save

from charlm import tokenizers
from charlm.checkpoint import KIND, Checkpoint
from charlm.config import CLASS_TASKS, TERMINATORS, ModelConfig
from charlm.files import tensor_file
from charlm.fingerprint import Fingerprint
from charlm.ngram import count_ngrams
from charlm.parameters import parameters
from charlm.tokenizers import SymbolTokenizer

CLASSES = ["sat", "went"]
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
# As text: some are not JSON, and some are JSON that Python would not write.
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
PLACEHOLDER, SIGNATURE = "\ue000", "\ue001"  # in metadata, where other JSON is put


def honest(kind="char", *, is_complete=True, **config):
    """Return metadata and arrays of a model that has every optional entry, or none."""
    if config.get("task") in CLASS_TASKS:
        config = {"num_classes": len(CLASSES), **config}
    config = ModelConfig(**{"embedding_size": 2, "hidden_size": 2, **config})
    vocab_size = None if kind in "byte char" else 40
    reserved = TERMINATORS[config.task]
    tokenizer = tokenizers.train(kind, [TEXT], vocab_size=vocab_size, reserved=reserved)
    if config.has_encoder:
        tokenizer = SymbolTokenizer(
            tokenizer,
            features=[] if config.is_of_classes else ["\x1fN", ";PL"],
            symbols=CLASSES if config.is_of_classes else [],
        )
    generator = np.random.default_rng(0)
    arrays = {
        parameter.name: generator.standard_normal(parameter.shape, np.float32)
        for parameter in parameters(config, tokenizer.vocab_size)
    }
    checkpoint = Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays)
    if is_complete:
        checkpoint = Checkpoint(
            config=config,
            tokenizer=tokenizer,
            arrays=arrays,
            provenance=PROVENANCE,
            dynamic_rates={name: np.ones(len(array), np.float32) for name, array in arrays.items()},
            fingerprints=[
                Fingerprint.of_lines([["the cat"]], 1),
                Fingerprint.of_texts([[TEXT]], len(TEXT)),
            ],
            line_scores=np.linspace(1, 3, 5, dtype=np.float32),
            ngrams=ngrams_of(config, tokenizer),
        )
    metadata, arrays = checkpoint.to_parts()
    return {"format": KIND.format, "version": "0.1.0", **metadata}, dict(arrays)


def ngrams_of(config, tokenizer):
    """Return the n-grams of the text for each direction; only text and lines have some."""
    if config.task not in ("text", "lines"):
        return {}
    ids = np.array([tokenizer.boundary_id, *tokenizer.encode(TEXT[:90])])
    outputs = config.outputs(tokenizer.vocab_size)
    table = count_ngrams(
        ids, np.arange(len(ids)) > 0, order=2, outputs=outputs, boundary_id=tokenizer.boundary_id
    )
    return dict.fromkeys(config.directions, table)


def signed(metadata, arrays, *, kind=KIND):
    """Return the file of a model, with the SHA-256 of its contents."""
    return with_json({**metadata, "sha256": SIGNATURE}, arrays, "null", kind=kind)


def with_json(metadata, arrays, text, *, kind=KIND):
    """Return the signed file of a model whose metadata has `text` in place of PLACEHOLDER."""
    whole = json.dumps(metadata).replace(json.dumps(PLACEHOLDER), text)
    try:
        value = json.loads(whole)
        digest = tensor_file.digest(value, arrays) if isinstance(value, dict) else ""
    except (ValueError, RecursionError):  # not JSON: it cannot be signed
        digest = ""
    return save(arrays, {kind.key: whole.replace(json.dumps(SIGNATURE), json.dumps(digest))})


def paths_of(value, path=()):
    """Yield the path of every value, containers included."""
    yield path
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield from paths_of(value[key], (*path, key))


def placed(metadata, path, value):
    """Return metadata with another value at a path; without the entry if the value is None."""
    changed = {"metadata": deepcopy(metadata)}
    at, path = changed, ("metadata", *path)
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed["metadata"]


def lying_metadata(metadata, arrays, *, within=(), values=HOSTILE_VALUES, kind=KIND, every=1):
    """Yield name and file of the metadata with every entry replaced by every hostile value.

    Only one file in `every` is made.
    """
    metadata = {**metadata, "sha256": SIGNATURE}
    paths = [path for path in paths_of(metadata) if path[: len(within)] == within]
    for path, text in list(product(paths, [*values, None]))[::every]:
        name = ".".join(map(str, path)) or "all metadata"
        if text is not None:
            file = with_json(placed(metadata, path, PLACEHOLDER), arrays, text, kind=kind)
            yield f"{name} = {text[:20]} of {len(text)}", file
        elif path:
            yield f"no {name}", with_json(placed(metadata, path, None), arrays, "null", kind=kind)
