"""Device and precision are chosen for what the machine can do."""

import pytest
import torch

from charlm.errors import TrainingError
from charlm.training import hardware
from charlm.training.hardware import choose_device, choose_precision, memory_errors

CPU = torch.device("cpu")


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
