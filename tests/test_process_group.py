"""Which process this is, what its share is, and what the first does for all."""

import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.corpus.reading import open_documents
from charlm.errors import CheckpointError, ConfigError, TrainingError
from charlm.process_group import Process, ProcessGroup
from charlm.training import hardware
from charlm.training.data_loader import lay_out
from charlm.training.estimate import Machine
from charlm.training.hardware import choose_device, prepare
from charlm.training.plan import make_plan
from charlm.training.trainer import Learner

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node0", "MASTER_PORT": "29500",
}  # fmt: skip
CARDS = 2


def of(rank, size, **more):
    return ProcessGroup(
        Process(rank=rank, world_size=size, local_rank=rank, local_world_size=size, **more)
    )


class Told(ProcessGroup):
    """A process that is not the first, and what it is told."""

    def __init__(self, *data, size=2):
        super().__init__(Process(rank=1, world_size=size, local_rank=1, local_world_size=size))
        self.data = list(data)

    def broadcast(self, data):
        assert data == b""
        return self.data.pop(0)


def test_without_torchrun_a_process_is_alone():
    assert Process.from_environment({"PATH": "/bin", "MASTER_ADDR": "left over"}) == Process()
    assert Process().is_first


def test_torchrun_tells_which_process_it_is():
    found = Process.from_environment(TORCHRUN)

    assert found == Process(rank=3, world_size=4, local_rank=1, local_world_size=2)
    assert not found.is_first


@pytest.mark.parametrize("name", TORCHRUN)
def test_half_of_what_torchrun_sets_is_refused(name):
    environment = {key: value for key, value in TORCHRUN.items() if key != name}
    with pytest.raises(ConfigError, match=f"is set, but {name} is not"):
        Process.from_environment(environment)


@pytest.mark.parametrize(
    "change",
    [
        {"RANK": "4"}, {"LOCAL_RANK": "2"}, {"WORLD_SIZE": "0"}, {"LOCAL_WORLD_SIZE": "5"},
        {"RANK": "-1"}, {"RANK": ""}, {"RANK": "1.0"}, {"WORLD_SIZE": "two"}, {"RANK": "٣"},
    ],
    ids=str,
)  # fmt: skip
def test_processes_that_cannot_be_are_refused(change):
    with pytest.raises(ConfigError, match=r"not a number of processes|cannot be"):
        Process.from_environment({**TORCHRUN, **change})


@pytest.mark.parametrize(("count", "size"), [(8, 2), (7, 3), (5, 5), (32, 6)])
def test_shares_are_all_and_as_large_as_one_another(count, size):
    shares = [of(rank, size).shard(count) for rank in range(size)]

    assert [each for share in shares for each in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("task", ["text", "lines"])
@pytest.mark.parametrize("size", [2, 3])
def test_what_processes_read_is_what_one_reads(corpus_of, task, size):
    corpus = corpus_of("my dog has fleas,\nand 7 cats\nknow about\n" * 30, task=task)
    config = TrainingConfig(batch_size=7, bptt_length=8)
    whole = lay_out(corpus, config)
    parts = [lay_out(corpus, config, of(rank, size)) for rank in range(size)]

    for step in range(40):
        window = whole.batch(step)
        found = [part.batch(step) for part in parts]
        rows = [
            row.tolist()
            for each in found
            for row, counts in zip(each.targets, each.counts, strict=True)
            if counts.any()
        ]
        wanted = window.targets.tolist()
        if task == "lines":  # which end where the longest of a process does
            rows, wanted = ([bare(row) for row in each] for each in (rows, wanted))
            rows, wanted = sorted(rows), sorted(wanted)
        assert rows == wanted
        assert sum(each.counts.sum() for each in found) == window.is_scored.sum()


def bare(row):
    """Return a line's ids as far as its end, the largest id."""
    return row[: row.index(max(row)) + 1]


def test_a_process_without_a_line_reads_one_that_does_not_count(corpus_of):
    corpus = corpus_of("a long line of one batch\n" * 30, task="lines")
    config = TrainingConfig(batch_size=1, bptt_length=25)
    first, second = (lay_out(corpus, config, of(rank, 2)).batch(0) for rank in range(2))

    assert first.counts.all()
    assert second.inputs.shape == first.inputs.shape
    assert not second.counts.any()


def test_what_is_read_once_comes_to_the_others_as_it_was_told(tmp_path):
    group = Told(b"the first\n", b"and more", b"")
    with open_documents(["-"], group) as [document]:  # stdin is not looked at
        assert list(document.read_text()) == ["the first\nand more", ""]
    assert group.data == []


def test_a_file_that_is_shared_is_a_copy_for_all_but_the_first(tmp_path):
    path = tmp_path / "model.state.safetensors"
    path.write_bytes(b"state")
    with of(0, 2).shared_file(path) as found:
        assert found == path
    with Told(b"sta", b"te", b"").shared_file(path) as found:
        assert found != path
        assert found.read_bytes() == b"state"
    assert not found.exists()
    with (
        pytest.raises(CheckpointError, match="none cannot be copied: No such file"),
        of(0, 2).shared_file(tmp_path / "none"),
    ):
        pass


def test_more_processes_than_streams_are_refused(corpus_of):
    corpus = corpus_of("my dog has fleas" * 20)
    with pytest.raises(ConfigError, match="4 streams cannot be shared by 5 processes"):
        make_plan(corpus, ModelConfig(), TrainingConfig(batch_size=4, max_steps=1), group=of(0, 5))


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
def test_each_process_silences_units_of_its_own(corpus_of, dropout, is_alike):
    """Each has as many lines, and all lines are the same."""
    corpus = corpus_of("a line\n" * 80, task="lines")
    first, second = (
        float(learner_of(corpus, dropout=dropout, group=of(rank, 2)).step(0, 0.1)[0])
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
    """Let PyTorch say that there are some cards, and tell which was chosen."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: CARDS)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_each_process_takes_a_card_of_its_own(cards, wanted):
    for rank in range(CARDS):
        assert choose_device(
            wanted, Process(rank=rank, world_size=2, local_rank=rank, local_world_size=2)
        ) == (torch.device("cuda"))
    assert cards == [0, 1]
    with pytest.raises(ConfigError, match="no card for process 2 of this machine, which has 2"):
        choose_device(wanted, Process(rank=2, world_size=3, local_rank=2, local_world_size=3))


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
