"""Fixtures of several tests: small models, and the command as a user runs it."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import forked
import numpy as np
import pytest
from forked import ForkServer

from charlm.checkpoint import Checkpoint
from charlm.config import TERMINATORS, CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.corpus.windows import Windows, cut_evenly
from charlm.inference.scoring import score_windows
from charlm.parameters import parameters
from charlm.tokenizers import CharacterTokenizer

# Small networks train fastest on one thread: threads on a busy machine wait long for one another.
# Set before torch is imported; child processes inherit it.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

USE_TORCH = {"--dynamic", "--device"}  # options of commands that work without PyTorch else

VERSE = (
    "the cat sat on the mat, and the dog sat on the log.\n"
    "where did the cat go? the cat went to the café.\n"
    "where did the dog go? the dog went home.\n"
)


@pytest.fixture(autouse=True)
def processor():
    """Restore torch's settings, which `prepare` sets for the whole process."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def coverage(request):
    """Measure no coverage of a test that runs the same lines for long: it takes half as long so."""
    tracer = sys.gettrace()
    if request.node.get_closest_marker("repetitive"):
        sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture
def random_checkpoint():
    """Build a checkpoint with random weights of a size that makes every gate matter."""

    def build(characters="abcdefgh", *, embedding_size=5, hidden_size=7, scale=1.0, **settings):
        config = ModelConfig(embedding_size=embedding_size, hidden_size=hidden_size, **settings)
        tokenizer = CharacterTokenizer(characters)
        generator = np.random.default_rng(0)
        arrays = {
            parameter.name: scale
            * generator.standard_normal(parameter.shape, dtype=np.float32)
            / np.sqrt(np.float32(parameter.shape[-1]))
            for parameter in parameters(config, tokenizer.vocab_size)
        }
        return Checkpoint(config=config, tokenizer=tokenizer, arrays=arrays)

    return build


@pytest.fixture
def unigram_checkpoint():
    """Build a model that predicts tokens with given probabilities, whatever came before.

    A key is a character, a byte, or None for the end of an example.
    """

    def build(probabilities, *, task="text", fingerprints=()):
        characters = "".join(sorted(key for key in probabilities if isinstance(key, str)))
        tokenizer = CharacterTokenizer(characters)
        config = ModelConfig(embedding_size=2, hidden_size=2, task=task)
        arrays = {
            parameter.name: np.zeros(parameter.shape, np.float32)
            for parameter in parameters(config, tokenizer.vocab_size)
        }
        arrays["output.bias"][:] = -1000
        for key, probability in probabilities.items():
            token = tokenizer.boundary_id if key is None else tokenizer.pieces.index(key)
            arrays["output.bias"][token] = np.log(probability)
        return Checkpoint(
            config=config, tokenizer=tokenizer, arrays=arrays, fingerprints=fingerprints
        )

    return build


@pytest.fixture
def unigram_model(unigram_checkpoint):
    """Build that model, loaded."""

    def build(probabilities, **settings):
        from charlm.inference.model import Model

        return Model(unigram_checkpoint(probabilities, **settings))

    return build


@pytest.fixture
def random_model(random_checkpoint):
    """Build a model with random weights and a tokenizer trained on a text."""

    def build(kind, text, **config):
        from charlm import tokenizers
        from charlm.inference.model import Model

        checkpoint = random_checkpoint(**config)
        tokenizer = tokenizers.train(
            kind,
            [text],
            vocab_size=None if kind in ("char", "byte") else 60,
            reserved=TERMINATORS[checkpoint.config.task],
        )
        generator = np.random.default_rng(0)
        arrays = {
            parameter.name: generator.standard_normal(parameter.shape, dtype=np.float32)
            for parameter in parameters(checkpoint.config, tokenizer.vocab_size)
        }
        return Model(replace(checkpoint, tokenizer=tokenizer, arrays=arrays))

    return build


@pytest.fixture
def corpus_of(tmp_path):
    """Encode a text as training would."""

    def build(text, **config):
        path = tmp_path / "corpus.txt"
        path.write_bytes(text.encode())
        return encode_corpus([Document("corpus.txt", path)], CorpusConfig(**config))

    return build


@pytest.fixture
def score_segments():
    """Score ids as one text that is cut into `count` segments; in nats."""

    def score(runtime, ids, boundary_id, *, count, prefix=None):
        cut = cut_evenly(0, len(ids), count)
        return score_windows(runtime, Windows(ids, boundary_id, *cut, prefix)).sum()

    return score


def learn(corpus, model, config):
    """Train as planned and return all events."""
    from charlm.training.loop import train
    from charlm.training.plan import make_plan

    return list(train(corpus, make_plan(corpus, model, config)))


@pytest.fixture
def train_checkpoint():
    """Train in this process and return the best checkpoint."""
    return lambda corpus, model, config: learn(corpus, model, config)[-1].best.best


@pytest.fixture(scope="session")
def verse_path(tmp_path_factory):
    """A small text that is easy to predict."""
    path = tmp_path_factory.mktemp("corpus") / "verse.txt"
    path.write_text(VERSE * 40, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def verse_checkpoint(verse_path):
    """A small model, trained on the verse."""
    corpus = encode_corpus([Document("verse.txt", verse_path)], CorpusConfig())
    config = TrainingConfig(
        max_steps=200,
        batch_size=8,
        bptt_length=32,
        learning_rate=5e-3,
        dropout=0.0,
        precision="fp32",
        device="cpu",
    )
    return learn(corpus, ModelConfig(embedding_size=16, hidden_size=48), config)[-1].best.best


@pytest.fixture(scope="session")
def verse_model_path(verse_checkpoint, tmp_path_factory):
    """The file of that model."""
    path = tmp_path_factory.mktemp("model") / "verse.safetensors"
    verse_checkpoint.save(path)
    return path


@pytest.fixture(scope="session")
def charlm_path():
    """Return the installed `charlm`, the one beside this Python."""
    path = shutil.which("charlm", path=str(Path(sys.executable).parent)) or shutil.which("charlm")
    if path is None:
        raise RuntimeError("charlm is not installed: pip install -e .")
    return path


@pytest.fixture(scope="session")
def fork_servers():
    """The processes from which commands are forked: one without PyTorch, one with it."""
    servers = ForkServer(forked.LIGHT), ForkServer(forked.WITH_TORCH)
    yield servers
    for server in servers:
        server.stop()


def run_process(command, cwd, stdin, environment, timeout):
    """Run a command as a process of its own, where it cannot be forked."""
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=environment,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def run_charlm(charlm_path, fork_servers):
    """Run the installed command in a directory; stdout and stderr are bytes.

    It is forked where that is possible, and a process of its own where variables of the
    environment might matter that are read at its start.
    """

    def run(*arguments, cwd, stdin=b"", env=None, timeout=120):
        arguments = list(map(str, arguments))
        environment = {**os.environ, "CHARLM_MODEL": "", "COLUMNS": "100", **(env or {})}
        server = fork_servers[arguments[:1] == ["train"] or bool(USE_TORCH & {*arguments})]
        if forked.IS_POSSIBLE and server.serves(environment):
            return server.run(
                ["charlm", *arguments], [environment], cwd=cwd, stdin=stdin, timeout=timeout
            )
        return run_process([charlm_path, *arguments], cwd, stdin, environment, timeout)

    return run


@pytest.fixture(scope="session")
def run_python(fork_servers):
    """Run a file of Python in a directory, forked from a process that has loaded PyTorch."""

    def run(file, *arguments, cwd, stdin=b"", timeout=120):
        environment = {**os.environ, "CHARLM_MODEL": "", "COLUMNS": "100"}
        command = list(map(str, [file, *arguments]))
        if forked.IS_POSSIBLE:
            return fork_servers[1].run(
                command, [environment], cwd=cwd, stdin=stdin, timeout=timeout
            )
        return run_process([sys.executable, *command], cwd, stdin, environment, timeout)

    return run


@pytest.fixture
def charlm(run_charlm, tmp_path):
    """Run the installed command in an empty directory; stdout and stderr are bytes."""

    def run(*arguments, cwd=tmp_path, **more):
        return run_charlm(*arguments, cwd=cwd, **more)

    return run
