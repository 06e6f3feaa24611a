"""Any model file is refused in one line of error, or harmless: soon, and in little memory.

`hostile_commands.py` runs the commands, `mutants.py` and `hostile_files.py` make the files.
"""

import json
import os
import re
import sys
from itertools import chain, islice
from pathlib import Path

import hostile_commands
import pytest
from hostile_files import (
    FOREIGN,
    foreign_tokenizers,
    lying_arrays,
    lying_counts,
    lying_fingerprints,
    lying_headers,
    lying_ngrams,
    lying_pieces,
    lying_scores_and_settings,
    many_fingerprints,
    put_together,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from mutants import honest, lying_metadata, signed

import charlm
from charlm.checkpoint import KIND, Checkpoint
from charlm.config import ModelConfig
from charlm.errors import CheckpointError
from charlm.fingerprint import MOST_FINGERPRINTS
from charlm.parameters import parameters

pytestmark = pytest.mark.repetitive

# Python lists a folder of its own modules again if that changed while a test ran.
PACKAGE = Path(charlm.__file__).parent

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="it measures as Linux does")

KINDS = [("char", {}), ("char", {"direction": "both"}), ("word", {"task": "lines"}), ("bpe", {})]


@pytest.fixture(scope="module")
def file():
    """A small model with every optional entry."""
    return signed(*honest("byte", embedding_size=1, hidden_size=1))


def is_refused(path):
    """Return whether the loader refuses a file in one line."""
    try:
        Checkpoint.load(path)
    except CheckpointError as error:
        return "\n" not in error.message
    return False


@pytest.fixture
def path(tmp_path, file):
    """The path of that model."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(file)
    return path


@pytest.fixture
def endings(tmp_path):
    """Run the commands on named files; count the refused and the harmless ones."""

    def count(files, **options):
        paths = {}
        for name, data in files:
            paths[name] = tmp_path / f"{len(paths)}.safetensors"
            paths[name].write_bytes(data)
        outcomes = hostile_commands.run(paths.values(), tmp_path, **options)
        return hostile_commands.count_endings(dict(zip(paths, outcomes, strict=True)))

    return count


def write_byte(opened, place, byte):
    opened.seek(place)
    opened.write(bytes([byte]))


def mutants_of_metadata():
    yield from lying_metadata(*honest(direction="both"))
    yield from lying_metadata(*honest("bpe", is_complete=False), within=("tokenizer",))


def mutants_of_bytes(*, every):
    yield from lying_headers(signed(*honest()))
    yield from lying_arrays()
    yield from foreign_tokenizers(every=every)


def mutants_of_work():
    """Yield files that may claim more work, or other texts, than the text that is scored."""
    yield from lying_pieces()
    yield from lying_fingerprints()
    yield from lying_scores_and_settings()
    yield from lying_counts()
    yield from lying_ngrams()


def test_every_truncation_is_refused(file, path):
    refused = 0
    for length in reversed(range(len(file))):
        os.truncate(path, length)
        refused += is_refused(path)

    assert refused == len(file) > 4000


def test_a_flip_of_every_byte_of_the_header_and_many_of_the_body_is_refused(file, path):
    refused = 0
    header = 8 + int.from_bytes(file[:8], "little")
    flips = [
        *((place, 1 << place % 8) for place in range(header)),
        *((place, 0xFF) for place in range(header)),
        *((place, 1 << place % 8) for place in range(header, len(file), 7)),
    ]
    with path.open("r+b", buffering=0) as opened:
        for place, bits in flips:
            write_byte(opened, place, file[place] ^ bits)
            refused += is_refused(path)
            write_byte(opened, place, file[place])

    assert refused == len(flips) > 4000


@on_linux
def test_honest_files_are_harmless(endings):
    files = [(f"{kind} {config}", signed(*honest(kind, **config))) for kind, config in KINDS]

    assert endings(files) == {"harmless": len(KINDS)}


@on_linux
def test_a_sample_of_hostile_files_is_refused_or_harmless(endings):
    files = chain(mutants_of_metadata(), mutants_of_bytes(every=97), mutants_of_work())
    counts = endings(islice(files, 0, None, 8), commands=1)

    assert counts["refused"] > 370 and counts["harmless"] > 125


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize(
    ("files", "refused", "harmless"),
    [
        (mutants_of_metadata, 2000, 1000),
        (lambda: mutants_of_bytes(every=3), 2500, 300),
        (mutants_of_work, 100, 100),
    ],
)
def test_every_command_refuses_every_hostile_file_or_is_unharmed(endings, files, refused, harmless):
    counts = endings(files())

    print(counts)
    assert counts["refused"] > refused and counts["harmless"] > harmless


@pytest.mark.slow
@on_linux
def test_commands_refuse_truncations_and_flips(endings, file):
    cut = ((f"cut at {length}", file[:length]) for length in range(0, len(file), 11))
    flipped = (
        (f"{place} flipped", file[:place] + bytes([byte ^ 1 << place % 8]) + file[place + 1 :])
        for place, byte in islice(enumerate(file), 0, None, 11)
    )

    assert endings(chain(cut, flipped), commands=1) == {"refused": 2 * -(-len(file) // 11)}


@on_linux
def test_files_of_another_kind_are_refused(endings):
    files = [*FOREIGN.items(), ("many fingerprints", many_fingerprints(MOST_FINGERPRINTS + 1))]

    assert endings(files) == {"refused": len(files)}


@on_linux
def test_the_largest_number_of_fingerprints_is_harmless(endings):
    assert endings([("many", many_fingerprints(MOST_FINGERPRINTS))]) == {"harmless": 1}


@on_linux
def test_devices_pipes_directories_and_sparse_files_are_refused(tmp_path, file):
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    holes = []
    for size, data in [(1 << 30, b""), (1 << 30, file), terabyte()]:
        holes.append(tmp_path / f"{len(holes)}.safetensors")
        holes[-1].write_bytes(data)
        os.truncate(holes[-1], size)
    missing = [tmp_path / "missing", tmp_path / ("long" * 100), pipe / "below"]
    paths = ["/dev/zero", "/dev/null", tmp_path, pipe, loop, *holes, *missing]
    outcomes = hostile_commands.run(paths, tmp_path)

    assert hostile_commands.count_endings(dict(zip(paths, outcomes, strict=True))) == {
        "refused": 11
    }


def terabyte():
    """Return size and header of a sparse file that claims a network of 2 ** 18 units."""
    hidden = 1 << 18
    metadata, _ = honest("byte", is_complete=False, embedding_size=1, tie_weights=True)
    metadata["config"]["hidden_size"] = hidden
    config, header, end = ModelConfig(**metadata["config"]), {}, 0
    for parameter in parameters(config, 256):
        begin, end = end, end + 4 * parameter.size
        header[parameter.name] = {
            "dtype": "F32", "shape": parameter.shape, "data_offsets": [begin, end],
        }  # fmt: skip
    header["__metadata__"] = {KIND.key: json.dumps(metadata)}
    data = put_together(header, b"")
    return len(data) + end, data


@on_linux
def test_nothing_in_a_file_picks_a_file_a_module_or_a_host(tmp_path):
    """Hostile files cause only audit events that honest and damaged files cause."""

    def events(files):
        paths = [tmp_path / f"{number}.safetensors" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        for path, outcome in zip(
            paths, hostile_commands.run(paths, tmp_path, is_audited=True), strict=True
        ):
            yield {
                (name, re.sub(" at 0x[0-9a-f]+", "", arguments.replace(str(path), "MODEL")))
                for name, arguments in outcome["events"]
                if not (name == "os.listdir" and arguments.startswith(f"('{PACKAGE}"))
            }

    good = signed(*honest("bpe"))
    known = set().union(*events([good, good[:-1], signed(*honest(direction="both"))]))
    files = [data for _, data in islice(mutants_of_metadata(), 0, None, 61)]
    files += [data for _, data in islice(mutants_of_bytes(every=97), 0, None, 61)]
    unexpected = set().union(*events(files)) - known

    assert ("open", "('MODEL',)") in known
    assert not unexpected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_edits_and_splices_of_a_file_load_or_are_a_checkpoint_error(tmp_path_factory, file, data):
    path = tmp_path_factory.getbasetemp() / "spliced.safetensors"
    place = st.integers(0, len(file))
    spliced = bytearray(file)
    for _ in range(data.draw(st.integers(1, 4))):
        begin, end = sorted(data.draw(st.tuples(place, place)))
        source = data.draw(place)
        inserted = data.draw(st.binary(max_size=64))
        spliced[begin:end] = inserted or file[source : source + end - begin]
    path.write_bytes(spliced)
    try:
        Checkpoint.load(path)
    except CheckpointError as error:
        assert "\n" not in error.message
    else:
        assert spliced == file
