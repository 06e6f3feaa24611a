"""A process knows its rank and its share; collective operations need no torch in one process."""

import pytest

from charlm.errors import CheckpointError, ConfigError, TrainingError
from charlm.process_group import SINGLE_PROCESS, Process, ProcessGroup

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node0", "MASTER_PORT": "29500",
}  # fmt: skip


def group_of(rank, size):
    return ProcessGroup(Process(rank=rank, world_size=size, local_rank=rank, local_world_size=size))


class Receiver(ProcessGroup):
    """Process 1 of 2, and what process 0 broadcasts."""

    def __init__(self, *data):
        super().__init__(group_of(1, 2).process)
        self.data = list(data)

    def broadcast(self, data):
        assert data == b""
        return self.data.pop(0)


def test_without_torchrun_there_is_one_process():
    assert Process.from_environment({"PATH": "/bin", "MASTER_ADDR": "left over"}) == Process()
    assert Process().is_first


def test_torchrun_sets_the_rank_of_a_process():
    process = Process.from_environment(TORCHRUN)

    assert process == Process(rank=3, world_size=4, local_rank=1, local_world_size=2)
    assert not process.is_first


@pytest.mark.parametrize("name", TORCHRUN)
def test_a_missing_variable_of_torchrun_is_an_error(name):
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
def test_an_impossible_rank_or_number_of_processes_is_an_error(change):
    with pytest.raises(ConfigError, match=r"not a number of processes|there is no process"):
        Process.from_environment({**TORCHRUN, **change})


@pytest.mark.parametrize(("count", "size"), [(8, 2), (7, 3), (5, 5), (32, 6)])
def test_shards_cover_everything_once_and_differ_by_one_at_most(count, size):
    shards = [group_of(rank, size).shard(count) for rank in range(size)]

    assert [number for shard in shards for number in shard] == list(range(count))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_collective_operations_of_one_process_return_its_own_data():
    before = SINGLE_PROCESS.now
    SINGLE_PROCESS.sync_clock()
    module = object()

    assert (SINGLE_PROCESS.rank, SINGLE_PROCESS.world_size) == (0, 1)
    assert SINGLE_PROCESS.now >= before
    assert SINGLE_PROCESS.any(True) and not SINGLE_PROCESS.any(False)
    assert SINGLE_PROCESS.all_reduce([1.0, 2.0]) == [1.0, 2.0]
    assert SINGLE_PROCESS.broadcast(b"a") == b"a"
    assert SINGLE_PROCESS.all_gather(b"a") == [b"a"]
    assert SINGLE_PROCESS.broadcast_numbers([3.0]) == [3.0]
    assert SINGLE_PROCESS.wrap_ddp(module) is module
    assert list(SINGLE_PROCESS.read_once(iter([b"a", b"", b"b"]))) == [b"a", b"", b"b"]


def test_the_numbers_of_a_later_process_do_not_count_in_a_broadcast():
    assert group_of(1, 2).broadcast_numbers([3.0]) == [0.0]


def test_what_is_read_once_is_broadcast_and_the_others_do_not_read():
    sent = []

    class Sender(ProcessGroup):
        def broadcast(self, data):
            sent.append(data)
            return data

    first = Sender(group_of(0, 2).process)
    assert list(first.read_once(iter([b"the first\n", b"", b"and more"]))) == sent[:2]
    assert sent == [b"the first\n", b"and more", b""]

    receiver = Receiver(*sent)
    unread = iter([b"never read"])
    assert list(receiver.read_once(unread)) == [b"the first\n", b"and more"]
    assert receiver.data == []
    assert list(unread) == [b"never read"]


def test_data_that_differ_name_the_process_that_has_others():
    class Three(ProcessGroup):
        def all_gather(self, data):
            return [data, data, b"other"]

    group = Three(group_of(0, 3).process)
    with pytest.raises(
        TrainingError, match="process 2 has a different text from process 0"
    ) as caught:
        group.require_same(b"own", "text")

    assert caught.value.hint == "give each machine the same files"
    SINGLE_PROCESS.require_same(b"own", "text")


def test_a_shared_file_is_a_temporary_copy_except_in_the_first_process(tmp_path):
    path = tmp_path / "model.state.safetensors"
    path.write_bytes(b"state")
    for group in (SINGLE_PROCESS, group_of(0, 2)):
        with group.shared_file(path) as shared:
            assert shared == path
    with Receiver(b"sta", b"te", b"").shared_file(path) as shared:
        assert shared != path
        assert shared.read_bytes() == b"state"
    assert not shared.exists()
    with (
        pytest.raises(CheckpointError, match="none cannot be copied: No such file"),
        group_of(0, 2).shared_file(tmp_path / "none"),
    ):
        pass
