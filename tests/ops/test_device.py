"""Devices by name."""

import pytest
import torch

from adacross.distributed.device import find_device
from adacross.distributed.group import ProcessGroup
from adacross.errors import UserError
from adacross.features.sources import usual_device


def test_auto_is_cuda_or_cpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for cuda, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        for name in ("auto", None):
            assert find_device(name) == torch.device(expected)
            assert usual_device(name) == expected


def test_training_on_auto_is_not_on_mps(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ProcessGroup.start("auto").device == torch.device("cpu")


def test_a_process_without_its_others_says_how_they_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UserError, match=r"2 processes were started.*cannot join.*Start them with torchrun"):
        ProcessGroup.start("cpu")


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch):
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="started as 3 processes on this machine, which has 2 GPUs"):
        ProcessGroup.start("auto")


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
