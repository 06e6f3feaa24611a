"""What each process of a training run reads, computes and decides; no process is started here."""

import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import ConfigError, TrainingError
from charlm.process_group import Process, ProcessGroup
from charlm.training import hardware
from charlm.training.data_loader import lay_out
from charlm.training.estimate import Machine
from charlm.training.hardware import choose_device, prepare
from charlm.training.plan import make_plan
from charlm.training.trainer import Learner

CARDS = 2


def group_of(rank, size):
    return ProcessGroup(Process(rank=rank, world_size=size, local_rank=rank, local_world_size=size))


@pytest.mark.parametrize("task", ["text", "lines"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_shards_of_all_processes_are_the_batch_of_one(corpus_of, task, size):
    corpus = corpus_of("my dog has fleas,\nand 7 cats\nknow about\n" * 30, task=task)
    config = TrainingConfig(batch_size=7, bptt_length=8)
    alone = lay_out(corpus, config)
    processes = [lay_out(corpus, config, group_of(rank, size)) for rank in range(size)]

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
    first, second = (lay_out(corpus, config, group_of(rank, 2)).batch(0) for rank in range(2))

    assert first.is_scored.all()
    assert second.inputs.shape == first.inputs.shape
    assert not second.is_scored.any()


def test_more_processes_than_streams_are_refused(corpus_of):
    corpus = corpus_of("my dog has fleas" * 20)
    with pytest.raises(ConfigError, match="4 streams cannot be shared by 5 processes"):
        make_plan(
            corpus, ModelConfig(), TrainingConfig(batch_size=4, max_steps=1), group=group_of(0, 5)
        )


def learner_of(corpus, *, dropout, group):
    return Learner(
        corpus,
        ModelConfig(hidden_size=16, embedding_size=8, task=corpus.config.task),
        TrainingConfig(batch_size=2, bptt_length=16, max_steps=1, dropout=dropout),
        device=torch.device("cpu"),
        precision=torch.float32,
        group=group,
    )


@pytest.mark.parametrize(("dropout", "is_alike"), [(0.0, True), (0.5, False)])
def test_each_process_drops_other_units(corpus_of, dropout, is_alike):
    """Each has as many lines, and all lines are the same."""
    corpus = corpus_of("a line\n" * 80, task="lines")
    first, second = (
        float(learner_of(corpus, dropout=dropout, group=group_of(rank, 2)).step(0, 0.1)[0])
        for rank in range(2)
    )

    assert (first == second) == is_alike


def test_there_is_no_score_where_another_process_has_given_up(corpus_of):
    class Asked(ProcessGroup):
        def all_reduce(self, numbers):
            nats, tokens, abstentions = numbers
            return [nats, tokens, abstentions + has_given_up]

    has_given_up = 0
    learner = learner_of(corpus_of("ab" * 800), dropout=0.0, group=Asked())
    assert learner.validate() > 0
    has_given_up = 1
    assert learner.validate() is None


def test_processes_compute_in_a_precision_that_all_have():
    class WithAnOldOne(ProcessGroup):
        def all_reduce(self, numbers):
            return [1.0 + sum(numbers)]

    assert Machine(TrainingConfig(precision="bf16"), ProcessGroup()).precision == torch.bfloat16
    assert Machine(TrainingConfig(precision="bf16"), WithAnOldOne()).precision == torch.float32


def test_processes_compute_on_devices_of_one_kind():
    class WithACard(ProcessGroup):
        def all_gather(self, data):
            return [data, b"cuda"]

    with pytest.raises(TrainingError, match="process 1 has another device than process 0"):
        Machine(TrainingConfig(device="cpu"), WithACard())


@pytest.fixture
def cards(monkeypatch):
    """Pretend that there are CARDS cards; return a list of those that are chosen."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: CARDS)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_each_process_takes_another_card(cards, device):
    for rank in range(CARDS):
        assert choose_device(
            device, Process(rank=rank, world_size=2, local_rank=rank, local_world_size=2)
        ) == (torch.device("cuda"))
    assert cards == [0, 1]
    with pytest.raises(ConfigError, match="no card for process 2 of this machine, which has 2"):
        choose_device(device, Process(rank=2, world_size=3, local_rank=2, local_world_size=3))


def test_a_process_alone_takes_the_card_that_is_set(cards):
    assert choose_device("cuda") == torch.device("cuda")
    assert cards == []


def test_mps_is_for_one_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    two = Process(rank=0, world_size=2, local_rank=0, local_world_size=2)

    assert choose_device("auto") == torch.device("mps")
    assert choose_device("auto", two) == torch.device("cpu")
    with pytest.raises(TrainingError, match="'mps' is for one process, not for 2"):
        choose_device("mps", two)


def test_the_processes_of_a_machine_share_its_cores(monkeypatch):
    threads = []
    monkeypatch.setattr(hardware, "_cores", lambda: 9)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as torchrun does
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    four = Process(rank=0, world_size=8, local_rank=0, local_world_size=4)
    prepare(None, four)
    prepare(1, four)
    prepare(9)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    prepare(None, four)

    assert threads == [2, 1, 9]
    with pytest.raises(ConfigError, match="at most 2, the cores here for each process, got 3"):
        prepare(3, four)
