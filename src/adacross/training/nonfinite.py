"""A loss or a gradient that is not finite: the run stops before the step, and keeps the step's data.

In every step every loss term is checked and, after the backward pass, every gradient. The first that is NaN
or infinite ends the run with its name; weights and optimizer are not touched, and the checkpoints are those
from before. No step is skipped: in float32 and bfloat16, which have the same range, such a number is no
accident of scaling, and a run without the step would not be the run that was asked for.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from inspect import signature
from pathlib import Path

import torch
from torch import Tensor

from adacross.distributed.group import ProcessGroup
from adacross.errors import UserError
from adacross.io.files import whole_folder, write_json
from adacross.methods import Method, method_class
from adacross.training.checkpoint import checkpoints, save_state
from adacross.training.config import PretrainConfig
from adacross.training.loader import BatchLoader

Terms = Mapping[str, float]


class NotFiniteError(UserError):
    """A loss term or its gradient is NaN or infinite.

    Attributes:
        batch: number of the batch, from 0 over the whole run; the step's unless `accumulate` is given.
        about: what is not finite ("loss" or "gradient"), of which terms, and values and weights of all, as
            JSON values.
    """

    def __init__(
        self, message: str, batch: int, what: str, of: list[str], terms: Terms, weights: Terms | None = None
    ) -> None:
        super().__init__(message)
        self.batch = batch
        values = {name: str(value) for name, value in terms.items()}  # JSON has no NaN
        self.about = {"what": what, "of": of, "terms": values, "weights": weights and dict(weights)}


def finite_values(terms: Mapping[str, Tensor], batch: int) -> dict[str, float]:
    """Return the terms as numbers; raise a `NotFiniteError` if one is not finite."""
    values = {name: float(term.detach()) for name, term in terms.items()}
    if strange := [name for name, value in values.items() if not math.isfinite(value)]:
        told = " and ".join(f"{name!r} became {values[name]}" for name in strange)
        raise NotFiniteError(f"loss term {told} at step {batch}.", batch, "loss", strange, values)
    return values


def finite_norms(norms: Terms, values: Terms, batch: int) -> None:
    """Check the norms of the terms' gradients, for a weighting that uses them."""
    if strange := [name for name, norm in norms.items() if not math.isfinite(norm)]:
        raise NotFiniteError(_of_gradient(strange, batch), batch, "gradient", strange, values)


def finite_gradients(
    method: Method,
    again: Sequence[Callable[[], Mapping[str, Tensor]]],
    group: ProcessGroup,
    passes: Sequence[tuple[Terms, Terms]],
    first: int,
) -> None:
    """Check every gradient of a step, summed over processes: all of them see the same.

    `passes` are values and weights of the terms of each batch from `first` on; `again` computes them once
    more, to name the one at fault.
    """
    gradients = {name: each.grad for name, each in method.named_parameters() if each.grad is not None}
    if _all_finite(list(gradients.values())):
        return
    strange = [name for name, gradient in gradients.items() if not _all_finite([gradient])]
    where = f" It is that of {', '.join(strange[:3])}{' and others' if len(strange) > 3 else ''}."
    for place in range(len(passes)):
        if terms := _strange_gradients(again[place](), method, group):
            break
    batch = first + place
    raise NotFiniteError(_of_gradient(terms, batch) + where, batch, "gradient", terms, *passes[place])


def dump_step(
    run: Path, method: Method, loader: BatchLoader, config: PretrainConfig, error: NotFiniteError
) -> None:
    """Write the weights from before the step, the batch of all processes, the options, and the error.

    BatchNorm's running statistics, which no step reads, are those from after it.
    """
    whole = copy(loader)
    whole.share = None
    raw = whole.load(error.batch)
    about = {
        "step": error.batch // loader.accumulate,
        "batch": error.batch,
        **error.about,
        "shapes": whole.names(error.batch),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    state = {"method": method.state_dict(), "points": raw.points, "views": raw.views}
    try:
        with whole_folder(_folder(run, error.batch)) as temporary:
            save_state(temporary / "step.pt", state)
            write_json(temporary / "step.json", about)
            config.save(temporary)
    except UserError as trouble:
        raise UserError(f"{error} The step could not be kept: {trouble}") from error


def explained(run: Path, error: NotFiniteError, config: PretrainConfig) -> UserError:
    """Return the error with the place of the dump and possible cures."""
    kept = checkpoints(run)
    cures = ["Lower learning_rate"]
    if config.clip_norm is None:
        cures.append("give clip_norm")
    if "temperature" in signature(method_class(config.method)).parameters:
        cures.append("raise temperature")
    if config.precision == "bf16":
        cures.append("use precision float32")
    return UserError(
        f"{error} The step is kept in {_folder(run, error.batch)}. "
        f"{kept[-1].name if kept else 'No checkpoint'} is from before it. {' or '.join(cures)}, and "
        "start again."
    )


def _folder(run: Path, batch: int) -> Path:
    return Path(run) / f"nonfinite-step-{batch:08d}"


def _of_gradient(terms: list[str], batch: int) -> str:
    whose = f"loss term {' and '.join(map(repr, terms))}" if terms else "the terms' weighted sum"
    return f"the gradient of {whose} is not finite at step {batch}, though its value is."


def _all_finite(gradients: list[Tensor]) -> bool:
    """Return whether every number is finite; unlike a sum, the largest cannot overflow by itself."""
    return all(torch.linalg.vector_norm(gradient, torch.inf).isfinite() for gradient in gradients)


def _strange_gradients(terms: Mapping[str, Tensor], method: Method, group: ProcessGroup) -> list[str]:
    """Return the names of the terms whose gradient is not finite."""
    parameters = [each for each in method.parameters() if each.requires_grad]
    strange = []
    for name, term in terms.items():
        asked = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        gradients = [gradient for gradient in asked if gradient is not None]
        group.add(gradients)
        if not _all_finite(gradients):
            strange.append(name)
    return strange
