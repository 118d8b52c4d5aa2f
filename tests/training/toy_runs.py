"""Toy runs of every method, and a way to break one off."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy import TOY, TOY_MASKED

from adacross.data.collection.collection import Collection
from adacross.training import loop
from adacross.training.config import PretrainConfig
from adacross.training.log import read_log

MASKED = {name: TOY_MASKED[name] for name in ("encoder", "encoder_args", "image_size")}
ITS_OWN = {"joint-mae": MASKED, "point-m2ae": MASKED}  # what a method needs beside TOY


def configured(collection: Collection, run: Path, **changes: Any) -> PretrainConfig:
    own = ITS_OWN.get(changes.get("method", ""), {})
    return PretrainConfig(str(collection.folder), run=str(run), **(TOY | own | changes))


def same(first: Path, second: Path) -> bool:
    a, b = load_file(first / "method.safetensors"), load_file(second / "method.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def logged(run: Path, kind: str, *names: str) -> list[Any]:
    """The records of one kind: whole, these of their entries, or one entry alone."""
    records = [record for record in read_log(run / "log.jsonl") if record["kind"] == kind]
    return (
        records
        if not names
        else [
            record[names[0]] if len(names) == 1 else {name: record[name] for name in names}
            for record in records
        ]
    )


class PowerCutError(Exception):
    """Nothing of ours catches it, so nothing is saved when it comes."""


def cut_power(patch: pytest.MonkeyPatch, step: int) -> None:
    """Break off every run at `step` (from 0), before that step is taken."""
    read = loop.finite_values

    def cut(terms: dict[str, torch.Tensor], at: int) -> dict[str, float]:
        if at == step:
            raise PowerCutError
        return read(terms, at)

    patch.setattr(loop, "finite_values", cut)
