"""Devices by name."""

import subprocess
import sys

import pytest
import torch

from adacross.distributed.device import find_device
from adacross.errors import UserError
from adacross.features.sources import usual_device


def test_auto_is_cuda_or_cpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for cuda, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        for name in ("auto", None):
            assert find_device(name) == torch.device(expected)
            assert usual_device(name) == expected


def test_training_on_auto_is_not_on_mps():
    """In a process of its own: accelerate keeps the device that it found first."""
    program = (
        "import torch\n"
        "torch.backends.mps.is_available = torch.backends.mps.is_built = lambda: True\n"
        "torch.cuda.is_available = lambda: False\n"
        "from adacross.distributed.group import ProcessGroup\n"
        "assert ProcessGroup.start('auto').device.type == 'cpu'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["gpu", "mps", "xpu", "", "cpu:3", "cuda:x", torch.device("meta")])
def test_other_devices_are_refused(name: str | torch.device):
    with pytest.raises(UserError, match=r"device is .*, which cannot be used here; expected cpu, or cuda"):
        find_device(name)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="device is 'cuda', which cannot be used here"):
        find_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="device is 'cuda:2', which cannot be used"):
        find_device("cuda:2")
