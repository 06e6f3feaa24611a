"""Any state file is refused in one line of error, or the run goes on.

A state is loaded, planned with and trained on in this process, as `charlm train --resume` does.
`mutants.py` and `hostile_files.py` make the files.
"""

import contextlib
import json
import os
import resource
import signal
from collections import Counter
from dataclasses import replace
from itertools import islice

import mutants
import numpy as np
import pytest
from hostile_files import FOREIGN, lying_headers
from safetensors import safe_open
from safetensors.numpy import load_file

from charlm.cli.train.resume import ResumedRun
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.display.training import TrainingDisplay
from charlm.errors import CharlmError
from charlm.training.hardware import prepare
from charlm.training.loop import train
from charlm.training.plan import make_plan
from charlm.training.state import KIND, TrainingState

pytestmark = pytest.mark.repetitive

TEXT = "".join(f"{n} cats\t{n + n} fleas\n" for n in range(60))
MOST_SECONDS = 20  # for a file
MEMORY = 300  # MB for all files

# Besides those of `mutants.py`: values that a run might accept.
PLAUSIBLE = [
    *(str(n) for n in (-(10**15), -1000, -2, 3, 7, 8, 19, 20, 21, 60, 400, 10**6, 10**15, 1 << 62)),
    *(str(n) for n in ((1 << 63) - 1, 1 << 63, 1e-320, 1e-12, 1e-5, 0.25, 1e9, 1e15, 1e300)),
    *('"lines"', '"pairs"', '"adamw"', '"sgd"', '"rmsprop"', '"both"', '"bpe"', '"\\n"'),
]
ARRAY_VALUES = [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e6, -1, 1e-45, 0]
# Stopped runs: the settings of model and training, and fields of progress that are replaced.
RUNS = {
    "text": ({}, {"max_steps": 60}, {}),
    "time": (
        {"cell": "gru", "num_layers": 2, "residual": True, "direction": "both"},
        {"max_time": 1.0, "optimizer": "rmsprop"},
        {"steps": 400, "falls_from": 100.0, "falls_by": 1.0},
    ),
    "lines": ({"task": "lines", "tie_weights": True}, {"max_epochs": 3.0, "optimizer": "sgd"}, {}),
    "pairs": (
        {"task": "pairs", "cell": "rnn"},
        {"max_time": 1.0, "max_steps": 2, "optimizer": "adam"},
        {"steps": 2, "falls_from": 0.5, "falls_by": 1.0},
    ),
}
STEPS = {"text": 35, "time": 12, "lines": 8, "pairs": 1}


class Run:
    """A run that has stopped: its texts and its state."""

    def __init__(self, name, folder):
        model, config, progress = RUNS[name]
        path = folder / "corpus.txt"
        path.write_text(TEXT, newline="")
        self._documents = [Document("corpus.txt", path)]
        self.path = folder / "model.state.safetensors"
        model = ModelConfig(**{"embedding_size": 3, "hidden_size": 3, **model})
        exact = {"precision": "fp32", "device": "cpu", "dropout": 0.2, "batch_size": 4}
        config = TrainingConfig(**exact, bptt_length=8, **config)
        self._corpora = {}
        corpus = self._encoded(CorpusConfig(task=model.task), None)
        events = train(corpus, make_plan(corpus, model, config), save_every=0.0)
        states = (event for event in events if isinstance(event, TrainingState))
        state = next(state for state in states if state.progress.step == STEPS[name])
        state = replace(
            state,
            progress=replace(state.progress, **progress),
            origin={"from": mutants.PROVENANCE["from"]},
            command={"metrics": {"bytes": 9, "sha256": "2" * 64}, "options": {"max_steps": 60}},
        )
        state.save(self.path)
        with safe_open(self.path, framework="np") as file:
            # Longer numbers can be written in two ways, and a flipped bit may lead to the other.
            self.metadata = json.loads(file.metadata()[KIND.key], parse_float=three_digits)
        self.arrays = load_file(self.path)
        del self.metadata["sha256"]
        self.file = self.signed()

    def _encoded(self, config, tokenizer):
        key = repr((config, tokenizer and tokenizer.to_json()))
        if key not in self._corpora:
            self._corpora[key] = encode_corpus(self._documents, config, tokenizer=tokenizer)
        return self._corpora[key]

    def go_on(self, data):
        """Return whether --resume refuses a file in one line."""
        self.path.write_bytes(data)
        steps = [0]

        def should_stop():
            steps[0] += 1
            return steps[0] > 3

        try:
            with bounded(MOST_SECONDS):
                state = TrainingState.load(self.path)
                run = ResumedRun(state=state, output=self.path, options={}, changes=())
                corpus = self._encoded(run.corpus, run.tokenizer)
                prepare(None if run.config.threads == 1 else run.config.threads)
                start = run.prepare(corpus, TrainingDisplay(quiet=True))
                if start is None:
                    return False
                for event in train(
                    corpus, start.plan, state=state, save_every=0.0, should_stop=should_stop
                ):
                    if isinstance(event, TrainingState):
                        last = event
                last.save(self.path)
                TrainingState.load(self.path)  # which the run has written itself
        except CharlmError as error:
            assert "\n" not in error.message
            return True
        return False

    def count(self, files):
        """Count the files that are refused, and those that are harmless."""
        counts = Counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, data in files:
            try:
                counts["refused" if self.go_on(data) else "harmless"] += 1
            except Exception as error:
                raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert growth < MEMORY * 1024
        return counts

    def signed(self, metadata=None, arrays=None):
        return mutants.signed(metadata or self.metadata, arrays or self.arrays, kind=KIND)

    def hostile_files(self, *, every=1):
        """Yield name and file of hostile states; only one in `every` is made."""
        for values in (PLAUSIBLE, mutants.HOSTILE_VALUES):
            yield from mutants.lying_metadata(
                self.metadata, self.arrays, values=values, kind=KIND, every=every
            )
        for name, arrays in islice(self._lying_arrays(), 0, None, every):
            yield name, self.signed(arrays=arrays)
        yield from islice(lying_headers(self.file), 0, None, every)

    def _lying_arrays(self):
        """Yield a name and the arrays of a state with one wrong array."""
        for name, array in self.arrays.items():
            others = {other: value for other, value in self.arrays.items() if other != name}
            yield f"no {name}", others
            kinds = (np.float16, np.float64, np.int64, np.uint8, np.bool_)
            wrong = {str(kind): array.astype(kind) for kind in kinds}
            for shape in ((), (0,), (2, 0), (1,), (2,), (3, 3), (1 << 16,), (2, 1 << 16)):
                wrong[str(shape)] = np.zeros(shape, array.dtype)
            wrong |= {"longer": np.concatenate([array, array]) if array.ndim else array[None]}
            wrong |= {"transposed": array.T, "flat": array.reshape(-1), "deeper": array[None]}
            if array.dtype == np.float32:
                for value in ARRAY_VALUES:
                    wrong[f"all {value}"] = np.full_like(array, value)
                    wrong[f"one {value}"] = np.array(array)
                    wrong[f"one {value}"].reshape(-1)[:1] = value
            for change, value in wrong.items():
                yield f"{name} {change}", {**others, name: value}
            for other in ("", "evil", "last.x", "best.x", "optimizer.x", "carried.x", name + "x"):
                yield f"{name} as {other}", {**others, other: array}
                yield f"{name} also {other}", {**self.arrays, other: array}


def three_digits(number):
    return float(f"{float(number):.3g}")


@contextlib.contextmanager
def bounded(seconds):
    def out_of_time(*_):
        raise AssertionError(f"it takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module", params=RUNS)
def run(request, tmp_path_factory):
    return Run(request.param, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def text_run(tmp_path_factory):
    return Run("text", tmp_path_factory.mktemp("run"))


def is_refused(path):
    """Return whether a state is refused in one line."""
    try:
        TrainingState.load(path)
    except CharlmError as error:
        return "\n" not in error.message
    return False


def test_honest_states_go_on(run):
    assert run.count([("as it is", run.file)]) == {"harmless": 1}


def test_truncations_are_refused(text_run):
    refused, path, file = 0, text_run.path, text_run.file
    path.write_bytes(file)
    lengths = [length for length in range(len(file)) if length < 300 or length % 7 == 0]
    for length in reversed(lengths):
        os.truncate(path, length)
        refused += is_refused(path)

    assert refused == len(lengths) > 1_500


def test_a_flip_of_every_byte_of_the_header_and_many_of_the_body_is_refused(text_run):
    refused, path, file = 0, text_run.path, text_run.file
    header = 8 + int.from_bytes(file[:8], "little")
    flips = [
        *((place, 1 << place % 8) for place in range(header)),
        *((place, 1 << place % 8) for place in range(header, len(file), 29)),
    ]
    path.write_bytes(file)
    with path.open("r+b", buffering=0) as opened:
        for place, bits in flips:
            for byte in (file[place] ^ bits, file[place]):
                opened.seek(place)
                opened.write(bytes([byte]))
                if byte != file[place]:
                    refused += is_refused(path)

    assert refused == len(flips) > 5000


def test_a_sample_of_hostile_states_is_refused_or_goes_on(run):
    counts = run.count(run.hostile_files(every=59))

    assert counts["refused"] > 100 and counts["harmless"] > 20


@pytest.mark.slow
def test_every_hostile_state_is_refused_or_goes_on(run):
    counts = run.count(run.hostile_files())
    print(counts)

    assert counts["refused"] > 8000 and counts["harmless"] > 2000


def test_files_of_another_kind_are_refused(text_run):
    files = [*FOREIGN.items(), ("a model", mutants.signed(*mutants.honest()))]

    assert text_run.count(files) == {"refused": len(files)}


def changed(metadata, changes):
    """Return metadata with other values at some paths."""
    for path, value in changes.items():
        metadata = mutants.placed(metadata, tuple(path.split(".")), value)
    return metadata


IMPOSSIBLE = {
    "more steps than losses": {"progress.step": 10**15, "progress.steps": 10**16},
    "a step after the last": {"progress.steps": 34},
    "a rate that falls at the end": {"progress.falls_from": 60.0},
    "a rate that falls over no steps": {"progress.falls_by": 0.0},
    "a validation before the first step": {"progress.next_validation": -1},
    "a validation in the future": {"progress.validated_step": 36},
    "a best model of the future": {"best.step": 36},
    "a time that overflows": {"progress.seconds": 10**400},
    "a negative time": {"progress.seconds": -1.0},
    "a report in the future": {"progress.reported": 1e6},
    "a validation that ended before it began": {"progress.validation_seconds": -1.0},
    "a time budget for a run of steps": {"estimate.seconds": 60.0},
    "a time budget that is not the run's": {"config.max_time": 60.0},
    "texts of another task": {"corpus.task": "lines"},
    "another tokenizer": {"corpus.tokenizer": "byte"},
    "a separator of the network alone": {"last.config.document_separator": "x"},
    "a separator that is not Unicode": {
        "corpus.document_separator": "\ud800", "last.config.document_separator": "\ud800",
    },
    "no texts": {"texts": []},
    "another optimizer": {"config.optimizer": "rmsprop"},
    "a million streams": {"config.batch_size": 1 << 20},
    "nothing held out": {"corpus.max_validation_characters": -(10**400)},
    "more threads than processors": {"config.threads": 4096},
}  # fmt: skip


@pytest.mark.parametrize("changes", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_state_that_no_run_can_save_is_refused(changes, text_run):
    assert text_run.go_on(text_run.signed(changed(text_run.metadata, changes)))


def test_optimizer_state_of_another_shape_is_refused(text_run):
    """PyTorch's fused kernels do not check its size: they would read beyond its end."""
    names = [name for name in text_run.arrays if name.startswith("optimizer.exp")]
    files = [
        (name, text_run.signed(arrays={**text_run.arrays, name: np.zeros(shape, np.float32)}))
        for name in names
        for shape in ((), (1,), (1, 1))
    ]

    assert text_run.count(files) == {"refused": len(files)}
    assert len(files) > 24


def test_the_hint_for_a_damaged_state_is_to_begin_anew(text_run):
    text_run.path.write_bytes(text_run.file[:-1])

    with pytest.raises(CharlmError, match="is damaged: ") as caught:
        TrainingState.load(text_run.path)
    assert caught.value.hint == "begin a new run with --overwrite instead of --resume"
