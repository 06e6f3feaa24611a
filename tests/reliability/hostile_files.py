"""Hostile files: headers, arrays, SentencePiece models and files of other kinds."""

import hashlib
import io
import json
import pickle
import zipfile
from itertools import product

import mutants
import numpy as np
from safetensors.numpy import save

from charlm.checkpoint import KIND, TOKENIZER_MODEL
from charlm.config import ModelConfig
from charlm.fingerprint import MOST_FINGERPRINTS
from charlm.parameters import parameters

NETWORKS = [
    {},
    {"cell": "gru", "num_layers": 2, "residual": True},
    {"cell": "rnn", "nonlinearity": "relu", "document_separator": "\n"},
    {"embedding_size": 3, "tie_weights": True, "task": "lines", "direction": "both"},
    {"task": "pairs"},
    {"task": "pairs", "encoder": "attention", "tie_weights": True},
    {"task": "labels"},
    {"task": "tags", "hidden_size": 4},
]
WEIGHTS = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e6, -1e6, 1e-45, 0]
TENSORS = {
    "dtype": ["F16", "BF16", "F64", "I64", "BOOL", "U8", "F8_E4M3", "F4", "C64", "O", "", None, 1],
    "shape": [[], [0], [-1], [1 << 62, 4], [1 << 64], [2**32, 2**32], [1] * 500, [1.5], "2", None],
    "data_offsets": [[0, 0], [0, 4], [4, 0], [-4, 0], [0, 1 << 60], [0, 1 << 64], [0], "0", None],
}  # fmt: skip
LARGE = 100_000
PIECES = [
    "\n",
    "\t",
    "\r\n",
    "a\nb",
    "\t\n",
    "",
    " ",
    "\x00",
    "\x1b[2J",
    "\ud800",
    "\ufeff",
    "é" * 9,
    "x" * LARGE,
]
LINE_SCORES = [
    *([3e38, 3e38], [-3e38, 3e38], [-1e30, 1e30], [np.nan], [np.inf], [2, 1], [0, 0]),
    *([1] * 1001, [1] * 1002),
]
MASKS = r"""
    (a|aa)+$ (.*)*$ ((x?){99}){99}y .{1,99999} [ (?: (?=a)* .* (?R) (?P<n>e)(?&n) (?e)(?:the){e<=3}
    (?:(?:(?:e{999}){999}){999}) (?<=.*)e \p{L}+ \n □
""".split()
SETTINGS = {
    "mask": [*MASKS, "", "e" * 1000, "e" * 1001, 1, []],
    "begins_after": ["\n", "\n\n", "\r\n\r\n", "\0", "x" * 8, "x" * 9, "\ud800", "客" * 8, None, 1],
    "predicts_end": [True, False, 1, None, "yes"],
    "document_separator": ["\n", "e", "(e", "\0", "\ud800", " " * LARGE, "", 1],
}


def put_together(header, data, size=None):
    """Return a safetensors file with a header (JSON, or bytes) that claims a size."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def lying_headers(file):
    """Yield name and file of changes to a file's header; the rest of the file stays."""
    length = int.from_bytes(file[:8], "little")
    text, data = file[8 : 8 + length], file[8 + length :]
    header = json.loads(text)
    for size in (
        0,
        1,
        7,
        length - 1,
        length + 1,
        1 << 20,
        1 << 24,
        1 << 32,
        1 << 63,
        (1 << 64) - 1,
    ):
        yield f"a header of {size}", put_together(text, data, size)
    names = [name for name in header if name != "__metadata__"]
    for name in names:
        for key, values in TENSORS.items():
            for value in values:
                changed = {**header[name], key: value}
                yield f"{name}.{key} = {value}", put_together({**header, name: changed}, data)
        others = {key: value for key, value in header.items() if key != name}
        yield f"no {name}", put_together(others, data)
        for other in (
            "../../evil",
            "\x1b[2J",
            "",
            "fingerprint.9",
            "dynamic_rate.x",
            "line_scores",
        ):
            yield f"{name} as {other!r}", put_together({**others, other: header[name]}, data)
        for other in names:
            changed = {**header[name], "data_offsets": header[other]["data_offsets"]}
            yield f"{name} at {other}", put_together({**header, name: changed}, data)
            yield f"{name} as {other}", put_together({**others, other: header[name]}, data)
        twice = f'{{"{name}":{json.dumps(header[name])},'.encode() + text.lstrip()[1:]
        yield f"{name} twice", put_together(twice, data)
    for metadata in (None, 1, [], {}, {KIND.key: 1}, {KIND.key: None}, {"other": "{}"}):
        yield f"metadata {metadata}", put_together({**header, "__metadata__": metadata}, data)
    yield "a deep header", put_together(b"[" * LARGE, data)
    nothing = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    many = {f"tensor.{number}": nothing for number in range(LARGE)}
    yield "many tensors", put_together({**many, **header}, data)


def lying_arrays():
    """Yield name and signed file of models with impossible weights."""
    for config in NETWORKS:
        metadata, arrays = mutants.honest(is_complete=False, **config)
        for value, name in product(WEIGHTS, [*arrays, "all"]):
            changed = {
                other: np.full_like(array, value) if name in (other, "all") else array
                for other, array in arrays.items()
            }
            yield f"{config}: {name} = {value}", mutants.signed(metadata, changed)


def lying_pieces():
    """Yield name and signed file of models whose tokens hold what ends an example, and others."""
    for task, kind in product(("text", "lines", "pairs"), ("char", "word", "bpe")):
        metadata, arrays = mutants.honest(kind, task=task)
        for piece in PIECES:
            tokenizer = dict(metadata["tokenizer"])
            key = {"char": "characters", "word": "words", "bpe": "white_space"}[kind]
            if kind == "char":
                tokenizer[key] = "".join(sorted({*tokenizer[key][1:], *piece[:1]}))
            else:
                tokenizer[key] = [piece, *tokenizer[key][1:]]
            yield (
                f"{task} {kind}: {piece[:9]!r}",
                mutants.signed({**metadata, "tokenizer": tokenizer}, arrays),
            )
            if kind == "word":
                spelled = {**metadata["tokenizer"], "characters": piece}
                yield (
                    f"{task} spelled with {piece[:9]!r}",
                    mutants.signed({**metadata, "tokenizer": spelled}, arrays),
                )


def lying_fingerprints():
    """Yield name and signed file of models with filters of any number, kind and filling."""
    metadata, arrays = mutants.honest(is_complete=False)
    for number, kind, fill, stride, hashes, size in product(
        (1, 2, MOST_FINGERPRINTS),
        ("lines", "passages"),
        (0, 0x55, 0xFF),
        (1, 16, 1000, 1 << 53),
        (1, 64),
        (1, 300),
    ):
        fingerprint = {"kind": kind, "entries": 1, "stride": stride, "hashes": hashes}
        filters = {f"fingerprint.{n}": np.full(size, fill, np.uint8) for n in range(number)}
        yield (
            f"{number} of {kind}, {fill}, {stride}, {hashes}, {size}",
            mutants.signed(
                {**metadata, "fingerprints": [fingerprint] * number}, {**arrays, **filters}
            ),
        )


def lying_scores_and_settings():
    """Yield name and signed file of models with odd line scores, masks and beginnings."""
    for task, direction in product(("text", "lines"), ("forward", "backward", "both")):
        metadata, arrays = mutants.honest(task=task, direction=direction)
        for scores in LINE_SCORES:
            changed = {**arrays, "line_scores": np.array(scores, np.float32)}
            yield f"{task}: line scores {scores[:2]}", mutants.signed(metadata, changed)
        for name, values in SETTINGS.items():
            for value in values:
                config = {**metadata["config"], name: value}
                yield (
                    f"{task}: {name} = {value!r:.30}",
                    mutants.signed({**metadata, "config": config}, arrays),
                )


def lying_ngrams():
    """Yield name and signed file of models whose counts do not fit together."""
    for kind, config in (
        ("char", {}),
        ("word", {"task": "lines"}),
        ("byte", {"direction": "both"}),
    ):
        metadata, arrays = mutants.honest(kind, **config)
        for name in (name for name in arrays if name.startswith("ngram.")):
            array = arrays[name]
            largest = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 3e38
            lies = {
                "nothing": array[:0],
                "zeros": np.zeros_like(array),
                "ones": np.ones_like(array),
                "largest": np.full_like(array, largest),
                "reversed": array[::-1].copy(),
                "cut": array[:-1],
                "twice": np.concatenate([array, array]),
                "flat": array.reshape(-1, 1),
                "signed": array.astype(np.int64),
                "wider": array.astype(np.uint64),
                "numbers": array.astype(np.float32),
                "plus one": array + array.dtype.type(1),
            }
            for lie, changed in lies.items():
                yield f"{name} {lie}", mutants.signed(metadata, {**arrays, name: changed})
            others = {other: kept for other, kept in arrays.items() if other != name}
            yield f"no {name}", mutants.signed(metadata, others)
            yield f"other {name}", mutants.signed(metadata, {**others, f"{name}x": array})
            yield (
                f"{name} of nowhere",
                mutants.signed(metadata, {**arrays, "ngram.sideways.weights": array}),
            )


def lying_counts():
    """Yield name and signed file of models whose vocabulary is very large, or all alike."""
    for count, task in product((1000, 100_000), ("text", "lines")):
        for text in ("word {}", " {}", "{}\u0301", "\U0001f63a{}"):
            metadata, _ = mutants.honest("word", is_complete=False, task=task)
            words = [text.format(number) for number in range(count)]
            config = ModelConfig(**metadata["config"])
            arrays = {
                parameter.name: np.zeros(parameter.shape, np.float32)
                for parameter in parameters(config, 256 + count)
            }
            tokenizer = {"kind": "word", "words": words}
            yield (
                f"{task}: {count} words {text!r}",
                mutants.signed({**metadata, "tokenizer": tokenizer}, arrays),
            )


def many_fingerprints(count):
    """Return the signed file of a model with `count` fingerprints."""
    metadata, arrays = mutants.honest("byte", is_complete=False)
    fingerprint = {"kind": "passages", "entries": 1, "stride": 16, "hashes": 64}
    bits = {f"fingerprint.{number}": np.ones(1, np.uint8) for number in range(count)}
    return mutants.signed({**metadata, "fingerprints": [fingerprint] * count}, {**arrays, **bits})


def foreign_tokenizers(*, every):
    """Yield name and signed file of models with a SentencePiece model that no training made.

    In one byte of `every`, bits of a trained model are flipped.
    """
    metadata, arrays = mutants.honest("bpe", is_complete=False)
    trained = arrays[TOKENIZER_MODEL].tobytes()
    models = {
        "unigram for BPE": mutants.honest("unigram", is_complete=False)[1][
            TOKENIZER_MODEL
        ].tobytes()
    }
    models |= {"nothing": b"", "text": b"abc", "zeros": bytes(100), "twice": trained * 2}
    models |= {f"cut at {at}": trained[:at] for at in range(1, len(trained), every)}
    for place in range(0, len(trained), every):
        for bit in (1, 0x80):
            flipped = bytearray(trained)
            flipped[place] ^= bit
            models[f"bit {bit} of byte {place}"] = bytes(flipped)
    for name, fields in PROTOS.items():
        models[name] = trained + fields
    for name, model in models.items():
        tokenizer = {**metadata["tokenizer"], "model_sha256": hashlib.sha256(model).hexdigest()}
        changed = {**arrays, TOKENIZER_MODEL: np.frombuffer(model, np.uint8)}
        yield (
            f"SentencePiece: {name}",
            mutants.signed({**metadata, "tokenizer": tokenizer}, changed),
        )


def _field(number, value):
    """Return a field of a protocol buffer: bytes, or a whole number."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value)


def _varint(value):
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _piece(text, kind=1, score=b"\0\0\0\0"):
    return _field(1, _field(1, text) + b"\x15" + score + _field(3, kind))


# Fields that are merged into a trained model: those of ModelProto, see sentencepiece_model.proto.
PROTOS = {
    "an empty piece": _piece(b""),
    "a piece that is not UTF-8": _piece(b"\xff\xfe"),
    "a piece with a NUL": _piece(b"a\0b"),
    "a piece of a megabyte": _piece(b"x" * (1 << 20)),
    "a piece twice": _piece(b"the") * 2,
    "a score that is NaN": _piece(b"new", score=b"\0\0\xc0\x7f"),
    "a second unknown piece": _piece(b"<unknown>", 2),
    "a byte that is not hexadecimal": _piece(b"<0xZZ>", 6),
    "a byte beyond 255": _piece(b"<0x1FF>", 6),
    "a control piece": _piece(b"<s>", 3),
    "a piece of the user's": _piece(b"<user>", 4),
    "an unknown kind of piece": _piece(b"odd", 99),
    "many pieces": b"".join(_piece(b"%d" % number) for number in range(LARGE)),
    **{f"a model of type {kind}": _field(2, _field(3, kind)) for kind in (0, 1, 2, 3, 4, 99)},
    "an unknown id of its own": _field(2, _field(40, 1 << 31)),
    "no byte fallback": _field(2, _field(35, 0)),
    "suffix white space": _field(2, _field(24, 1)),
    **{
        f"a map of {len(blob)} characters {number}": _field(3, _field(2, blob))
        for number, blob in enumerate(
            [
                b"\0",
                b"\xff" * 4,
                b"\xff" * 1028,
                b"\x00\x04\0\0" + b"\xff" * 1024,
                b"\x00\x04\0\0" + bytes(1024),
                b"\x00\x04\0\0" + b"\x01" * 1024 + b"x",
                b"\x00\x04\0\0" + b"\x00\x01\x02\x80" * 256 + b"\xff" * 99,
                np.random.default_rng(0).bytes(5000),
                b"\x00\x04\0\0" + np.random.default_rng(0).bytes(5000),
            ]
        )
    },
    "a dummy prefix": _field(3, _field(3, 1) + _field(4, 1)),
    "a test of itself": _field(4, _field(1, _field(1, b"the cat") + _field(2, b"x"))),
    "a denormaliser": _field(5, _field(2, b"\xff" * 1028)),
}


def _zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(print))
    return file.getvalue()


FOREIGN = {
    **{f"a pickle of protocol {n}": pickle.dumps(print, protocol=n) for n in range(6)},
    "a zip archive": _zipped(),
    "a page": b"<!DOCTYPE html><html>",
    "a git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "nothing": b"",
    "a byte": b"\0",
    "eight bytes": bytes(8),
    "text": b"Once upon a time there was a text.",
    "a text without end": b"a" * (1 << 22),
    "another model": save({"output.bias": np.zeros(3, np.float32)}),
    "noise": np.random.default_rng(0).bytes(1 << 16),
}
