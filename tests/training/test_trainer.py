"""A step trains on one batch, a validation predicts every token once; processes share both."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from charlm.config import CorpusConfig, ModelConfig, TrainingConfig
from charlm.corpus import batches
from charlm.corpus.encoding import encode_corpus
from charlm.corpus.reading import Document
from charlm.corpus.windows import Windows
from charlm.process_group import SINGLE_PROCESS, Process, ProcessGroup
from charlm.training.trainer import Trainer, training_batches

SMALL = ModelConfig(embedding_size=8, hidden_size=24)
EXACT = {"precision": "fp32", "device": "cpu", "dropout": 0.0}
SENTENCE = "my dog has fleas, and 7 cats know about it."
LINES = ["a", "bb cc", "", "some longer line", "ab" * 20, "b", "the end"] * 6
PAIRS = [f"{line}\t{line[::-1]}" for line in LINES if line]


def settings(**given):
    return TrainingConfig(**{**EXACT, "batch_size": 4, "bptt_length": 16, **given})


def trainer_of(corpus, *, group=SINGLE_PROCESS, **given):
    return Trainer(
        corpus,
        replace(SMALL, task=corpus.config.task),
        settings(**given),
        device=torch.device("cpu"),
        precision=torch.float32,
        group=group,
    )


@pytest.fixture
def examples_of(tmp_path):
    def build(lines, task, **more):
        path = tmp_path / "items.tsv"
        path.write_text("".join(f"{line}\n" for line in lines))
        config = CorpusConfig(task=task, **more)
        return encode_corpus([Document("items.tsv", path)], config)

    return build


def test_validation_predicts_every_token_once(corpus_of):
    corpus = corpus_of(SENTENCE * 500)
    fresh = trainer_of(corpus)
    with torch.no_grad():
        for tensor in fresh.networks.parameters():
            tensor.zero_()
    tokens = corpus.validation.predictions

    assert tokens > 2000
    assert fresh.validate()[0] == pytest.approx(
        tokens * math.log(corpus.tokenizer.vocab_size), rel=1e-6
    )


def test_streams_carry_their_state_inside_a_segment(corpus_of, monkeypatch):
    monkeypatch.setattr(batches, "STREAM_SEGMENT", 64)
    corpus = corpus_of(SENTENCE * 20)
    trainer = trainer_of(corpus)
    [layout] = trainer._batches
    for step in range(8):  # windows of 16, so that each stream begins at a window of its own
        batch = layout.batch(step)
        state = trainer._batch_loss.initial_state(0, batch)
        begins = [(step + stream) % 4 == 0 or step == 0 for stream in range(4)]
        assert batch.is_start.tolist() == begins
        if state is not None:
            [(hidden, cell)] = state
            assert (hidden[0] == 0).all(dim=1).tolist() == begins
            assert (cell[0] == 0).all(dim=1).tolist() == begins
        trainer.step(step, 0.01)


def test_the_recurrent_state_of_lines_is_not_carried(corpus_of):
    trainer = trainer_of(corpus_of("a line\n" * 80, task="lines"))
    trainer.step(0, 0.01)

    assert trainer.recurrent_state() == {}


def test_the_gradient_is_clipped(corpus_of):
    corpus = corpus_of(SENTENCE * 20)
    tight = trainer_of(corpus, max_gradient_norm=1e-3)
    _, norm = tight.step(0, 0.0)
    clipped = math.sqrt(
        sum(float(t.grad.square().sum()) for t in tight.networks.parameters() if t.grad is not None)
    )

    assert float(norm) > 1e-2
    assert clipped == pytest.approx(1e-3, rel=1e-3)


def test_the_random_numbers_of_a_step_come_from_the_step(corpus_of):
    """The random numbers of a step come from the step, so nothing before can move them."""
    corpus = corpus_of(SENTENCE * 20)
    one, other = trainer_of(corpus, dropout=0.5), trainer_of(corpus, dropout=0.5)
    torch.rand(17)
    first, _ = one.step(0, 0.0)
    np.random.default_rng().random(5)
    torch.rand(3)
    second, _ = other.step(0, 0.0)

    assert torch.equal(first, second)


@pytest.mark.parametrize(("task", "lines"), [("lines", LINES), ("pairs", PAIRS)])
def test_a_padded_batch_has_the_gradient_of_its_items_one_by_one(examples_of, task, lines):
    corpus = examples_of(lines, task)
    trainer = trainer_of(corpus)
    [network], text = trainer.networks, corpus.train
    boundary_id = corpus.tokenizer.boundary_id
    windows = Windows.for_scoring(task, text.ids, text.boundaries, boundary_id)

    def gradient(*chosen):
        """Return the gradient of the summed loss over some items, read side by side."""
        network.zero_grad()
        window = windows.select(np.array(chosen)).as_batch(1000)
        logits = network.output(network(torch.from_numpy(window.inputs))[0])
        counts = torch.from_numpy(window.is_scored)
        torch.nn.functional.cross_entropy(
            logits[counts], torch.from_numpy(window.targets)[counts], reduction="sum"
        ).backward()
        return torch.cat([t.grad.flatten() for t in network.parameters() if t.grad is not None])

    together = gradient(0, 1, 2, 3, 4)
    one_by_one = sum(gradient(number) for number in range(5))

    assert float(together.norm()) > 1
    assert torch.allclose(together, one_by_one, atol=1e-4)


@pytest.mark.parametrize(("dropout", "is_alike"), [(0.0, True), (0.5, False)])
def test_each_process_drops_other_units(corpus_of, dropout, is_alike):
    """Each process has as many lines, and all lines are the same."""
    corpus = corpus_of("a line\n" * 80, task="lines")
    first, second = (
        float(
            trainer_of(
                corpus,
                batch_size=2,
                dropout=dropout,
                group=ProcessGroup(Process(rank=rank, world_size=2)),
            ).step(0, 0.1)[0]
        )
        for rank in range(2)
    )

    assert (first == second) == is_alike


def test_there_is_no_score_where_another_process_has_given_up(corpus_of):
    class Group(ProcessGroup):
        def all_reduce(self, numbers):
            *sums, given_up = numbers
            return [*sums, given_up + has_given_up]

    has_given_up = 0
    trainer = trainer_of(corpus_of("ab" * 800), dropout=0.0, group=Group())
    assert trainer.validate()[0] > 0
    has_given_up = 1
    assert trainer.validate() is None


def group_of(rank, size):
    return ProcessGroup(Process(rank=rank, world_size=size, local_rank=rank, local_world_size=size))


@pytest.mark.parametrize("task", ["text", "lines"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_shards_of_all_processes_are_the_batch_of_one(corpus_of, task, size):
    corpus = corpus_of("my dog has fleas,\nand 7 cats\nknow about\n" * 30, task=task)
    config = TrainingConfig(batch_size=7, bptt_length=8)
    alone = training_batches(corpus, config)
    processes = [training_batches(corpus, config, group_of(rank, size)) for rank in range(size)]

    for step in range(40):
        batch = alone.batch(step)
        shards = [process.batch(step) for process in processes]
        rows = [
            row.tolist()
            for shard in shards
            for row, is_scored in zip(shard.targets, shard.is_scored, strict=True)
            if is_scored.any()
        ]
        expected = batch.targets.tolist()
        if task == "lines":  # a shard is as wide as its own longest line
            rows, expected = (sorted(map(bare, lines)) for lines in (rows, expected))
        assert rows == expected
        assert sum(shard.is_scored.sum() for shard in shards) == batch.is_scored.sum()


def bare(row):
    """Return a line's ids as far as its end, the largest id."""
    return row[: row.index(max(row)) + 1]


def test_a_process_without_a_line_reads_one_that_does_not_count(corpus_of):
    corpus = corpus_of("a long line of one batch\n" * 30, task="lines")
    config = TrainingConfig(batch_size=1, bptt_length=25)
    first, second = (
        training_batches(corpus, config, group_of(rank, 2)).batch(0) for rank in range(2)
    )

    assert first.is_scored.all()
    assert second.inputs.shape == first.inputs.shape
    assert not second.is_scored.any()
