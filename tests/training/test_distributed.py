"""The group of several processes; tests/reliability/test_torchrun.py starts them for real."""

import pytest
import torch.distributed as dist

from charlm.errors import TrainingError
from charlm.process_group import Process
from charlm.training.distributed import is_first_to_fail, joined


def test_a_group_of_one_process_computes_by_itself():
    with joined(Process(), dist.HashStore()) as group:
        before = group.now
        assert group.broadcast(b"data") == b"data"
        assert group.broadcast(b"") == b""
        assert group.all_gather(b"one") == [b"one"]
        assert group.all_reduce([1.5, 2.0]) == [1.5, 2.0]
        assert (group.any(True), group.any(False)) == (True, False)
        assert group.now > before


def test_a_lost_process_is_an_error_with_the_cure():
    message = "[../gloo/transport/tcp/pair.cc:534] Connection closed by peer. And more"
    with (
        pytest.raises(
            TrainingError, match=r"has ended or does not answer \(Connection closed"
        ) as caught,
        joined(Process(), dist.HashStore()),
    ):
        raise RuntimeError(message)
    dist.destroy_process_group()
    assert "--resume" in caught.value.hint


def test_another_error_is_not_taken_for_a_lost_process():
    with pytest.raises(RuntimeError, match="shapes"), joined(Process(), dist.HashStore()):
        raise RuntimeError("shapes cannot be multiplied")
    dist.destroy_process_group()


def test_one_process_is_the_first_to_fail():
    store = dist.HashStore()

    assert is_first_to_fail(store, 0.0)
    assert not is_first_to_fail(store, 1.0)
