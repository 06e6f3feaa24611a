"""Device and precision are chosen for what the machine can do."""

import pytest
import torch

from charlm.config import TrainingConfig
from charlm.errors import ConfigError, TrainingError
from charlm.process_group import Process, ProcessGroup
from charlm.training import hardware
from charlm.training.hardware import (
    choose_device,
    choose_hardware,
    choose_precision,
    memory_errors,
    prepare,
)

CPU = torch.device("cpu")
CARDS = 2


def test_the_processor_is_always_there():
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_an_error_with_the_cure():
    with pytest.raises(TrainingError, match="device 'cuda' is not available") as caught:
        choose_device("cuda")

    assert caught.value.hint == "use --device auto"


@pytest.mark.parametrize("native", [True, False])
def test_auto_takes_bfloat16_only_where_it_is_native(monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native})

    assert choose_precision("auto", CPU) == (torch.bfloat16 if native else torch.float32)


def test_where_bfloat16_does_not_run_it_falls_back(monkeypatch):
    monkeypatch.setattr(hardware, "_runs_bfloat16", lambda device: False)

    assert choose_precision("bf16", CPU) == torch.float32


def test_float32_is_float32():
    assert choose_precision("fp32", CPU) == torch.float32


def test_too_little_memory_is_an_error_of_pythons_own():
    with pytest.raises(MemoryError), memory_errors():
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    with pytest.raises(RuntimeError, match="shapes"), memory_errors():
        raise RuntimeError("shapes cannot be multiplied")


def test_processes_compute_in_a_precision_that_all_have():
    class WithAnOldOne(ProcessGroup):
        def all_reduce(self, numbers):
            return [1.0 + sum(numbers)]

    config = TrainingConfig(precision="bf16", device="cpu")
    assert choose_hardware(config, ProcessGroup()).precision == torch.bfloat16
    assert choose_hardware(config, WithAnOldOne()).precision == torch.float32


def test_processes_compute_on_devices_of_one_kind():
    class WithACard(ProcessGroup):
        def all_gather(self, data):
            return [data, b"cuda"]

    with pytest.raises(TrainingError, match="process 1 has a different device from process 0"):
        choose_hardware(TrainingConfig(device="cpu"), WithACard())


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
    with pytest.raises(ConfigError, match="no GPU for process 2 of this machine, which has 2"):
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
