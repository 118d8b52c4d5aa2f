"""A loss or a gradient that is not finite: the run stops before the step, and keeps what repeats it.

The rule: in every step every loss term is looked at and, after the backward pass, every gradient. The first
that is NaN or infinite ends the run with its name; weights and optimiser are not touched, and the checkpoints
are those from before. No step is skipped: in float32 and bfloat16, which have the same range, such a number
is no accident of scaling, and a run without the step would not be the run that was asked for.

The step lies in `<run>/nonfinite-step-00000123`, with weights, shapes and seed, and is taken again by

    from adacross.training.nonfinite import replay
    replay("runs/parts/nonfinite-step-00000123")
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adacross.data.transforms.batch import RawBatch
from adacross.distributed.device import find_device
from adacross.distributed.group import Group
from adacross.encoders.base import filled
from adacross.errors import UserError
from adacross.io.files import read_json, whole_folder, write_json
from adacross.methods import Method, method_class
from adacross.training.checkpoint import checkpoints, load_checkpoint, save_state
from adacross.training.config import PretrainConfig
from adacross.training.loader import Loader
from adacross.training.run import new_method
from adacross.training.step import loss_terms, moved

_STATE, _ABOUT = "step.pt", "step.json"


class NotFiniteError(UserError):
    """A loss term or its gradient is NaN or infinite.

    Attributes:
        what: "loss" or "gradient".
        terms: the names of those that are not finite.
        values: of all terms.
        weights: of all terms, where the step came so far.
        step: steps taken before.
    """

    def __init__(
        self,
        message: str,
        what: Literal["loss", "gradient"],
        terms: list[str],
        values: Mapping[str, float],
        step: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(message)
        self.what, self.terms, self.step = what, terms, step
        self.values, self.weights = dict(values), None if weights is None else dict(weights)


def finite_values(terms: Mapping[str, Tensor], step: int) -> dict[str, float]:
    """The terms as numbers.

    Raises:
        NotFiniteError: a term is not finite; says which and when.
    """
    values = {name: float(term.detach()) for name, term in terms.items()}
    if strange := [name for name, value in values.items() if not math.isfinite(value)]:
        told = " and ".join(f"{name!r} became {values[name]}" for name in strange)
        raise NotFiniteError(f"loss term {told} at step {step}.", "loss", strange, values, step)
    return values


def finite_norms(norms: Mapping[str, float], values: Mapping[str, float], step: int) -> None:
    """Look at the norms of the terms' gradients, where a weighting asks for them.

    Raises:
        NotFiniteError: a norm is not finite; says which and when.
    """
    if strange := [name for name, norm in norms.items() if not math.isfinite(norm)]:
        raise NotFiniteError(_of_gradient(strange, step), "gradient", strange, values, step)


def finite_gradients(
    method: Method,
    again: Callable[[], Mapping[str, Tensor]],
    group: Group,
    values: Mapping[str, float],
    weights: Mapping[str, float],
    step: int,
) -> None:
    """Look at every gradient after the backward pass, summed over processes: all of them see the same.

    Args:
        method: after the backward pass.
        again: computes the step's terms once more, to find out whose gradient is not finite.
        group: the processes that share the batch.
        values: of the terms.
        weights: of the terms.
        step: steps taken before.

    Raises:
        NotFiniteError: a gradient is not finite; says which term's, and of which parameters.
    """
    gradients = {name: each.grad for name, each in method.named_parameters() if each.grad is not None}
    if _all_finite(list(gradients.values())):
        return
    strange = [name for name, gradient in gradients.items() if not _all_finite([gradient])]
    largest = _largest_gradients(again(), method, group)
    terms = [name for name, value in largest.items() if not math.isfinite(value)]
    where = f" It is that of {', '.join(strange[:3])}{' and others' if len(strange) > 3 else ''}."
    raise NotFiniteError(_of_gradient(terms, step) + where, "gradient", terms, values, step, weights)


def keep_step(
    run: Path, method: Method, loader: Loader, config: PretrainConfig, error: NotFiniteError
) -> None:
    """Save what repeats the step.

    That is the weights from before it (with BatchNorm's running statistics, which no step reads, from after
    it), all shapes of the batch with their ids, the options, and what was found.

    Raises:
        UserError: it cannot be written; also says what `error` says.
    """
    whole = Loader(loader.collection, loader.indices, loader.batch_size, loader.seed, loader.pictures)
    raw = whole.load(error.step)  # of all processes
    about = {
        "step": error.step,
        "what": error.what,
        "of": error.terms,
        "terms": {name: str(value) for name, value in error.values.items()},  # JSON has no NaN
        "weights": error.weights,
        "shapes": [loader.collection.ids[index] for index in whole.members(error.step)],
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    try:
        with whole_folder(_folder(run, error.step)) as temporary:
            state = {"method": method.state_dict(), "points": raw.points, "views": raw.views}
            save_state(temporary / _STATE, state)
            write_json(temporary / _ABOUT, about)
            config.save(temporary)
    except UserError as trouble:
        raise UserError(f"{error} The step could not be kept: {trouble}") from error


def explained(run: Path, error: NotFiniteError, config: PretrainConfig) -> UserError:
    """The error with what is kept, and what to do."""
    kept = checkpoints(run)
    cures = ["Lower learning_rate"]
    if "temperature" in signature(method_class(config.method)).parameters:
        cures.append("raise temperature")
    if config.precision == "bf16":
        cures.append("use precision float32")
    return UserError(
        f"{error} The step is kept in {_folder(run, error.step)}; docs/reliability.md says how to repeat it. "
        f"{kept[-1].name if kept else 'No checkpoint'} is from before it. {' or '.join(cures)}, and "
        "start again."
    )


@dataclass(frozen=True)
class Replay:
    """A step taken again.

    Attributes:
        step: steps taken before.
        terms: values of the loss terms.
        gradients: the largest number in each term's gradient, unweighted; NaN or infinite for the culprit.
        module: the first module, in the order they are computed, that a term which is not finite depends on
            and that made something not finite of finite inputs and parameters. It is the innermost one that
            was called: for a layer that its parent computes itself, such as PointNet's last, the parent. None
            if there is none (the trouble is in the loss itself, or only in the gradient).
        shapes: ids of the batch's shapes.
    """

    step: int
    terms: dict[str, float]
    gradients: dict[str, float]
    module: str | None
    shapes: list[str]


def replay(folder: Path | str, device: str = "cpu") -> Replay:
    """Take a kept step again: the same weights, shapes and random numbers, in one process.

    The numbers are the run's own, to the last bit, on the same kind of device with the same number of threads
    and version of torch, if the run was one process.

    Args:
        folder: `<run>/nonfinite-step-00000123`.
        device: where to compute.

    Raises:
        UserError: the folder is none of those, or damaged.
    """
    folder = Path(folder)
    about: Any = read_json(folder / _ABOUT, "what a run that stopped at a number that is not finite has kept")
    config = PretrainConfig.load(folder)
    state = load_checkpoint(folder / _STATE)
    # BatchNorm's running statistics may be those after the step, and not finite.
    method = filled(lambda: new_method(config), state["method"], str(folder / _STATE), finite=False)
    group = Group(find_device(device))
    found: dict[str, list[Tensor]] = {}
    with torch.random.fork_rng(), ExitStack() as hooks:
        for name, module in method.to(group.device).named_modules():
            if module is not method:
                hook = module.register_forward_hook(_watch(name, found), with_kwargs=True)
                hooks.callback(hook.remove)
        raw = moved(RawBatch(state["points"], state["views"]), group.device)
        terms = loss_terms(method, raw, config, about["step"], group)
        values = {name: float(term.detach()) for name, term in terms.items()}
        gradients = _largest_gradients(terms, method, group)
    strange = [term for name, term in terms.items() if not math.isfinite(values[name])]
    return Replay(about["step"], values, gradients, _first_culprit(found, strange), about["shapes"])


def _folder(run: Path, step: int) -> Path:
    return Path(run) / f"nonfinite-step-{step:08d}"


def _of_gradient(terms: list[str], step: int) -> str:
    whose = f"loss term {' and '.join(map(repr, terms))}" if terms else "the terms' weighted sum"
    return f"the gradient of {whose} is not finite at step {step}, though its value is."


def _all_finite(gradients: list[Tensor]) -> bool:
    """Whether every number is; the largest is looked for, which unlike a sum cannot overflow by itself."""
    return not gradients or bool(torch.nn.utils.get_total_norm(gradients, torch.inf).isfinite())


def _largest_gradients(terms: Mapping[str, Tensor], method: Method, group: Group) -> dict[str, float]:
    """The largest number in each term's gradient with respect to all parameters."""
    parameters = [each for each in method.parameters() if each.requires_grad]
    largest = {}
    for name, term in terms.items():
        asked = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        gradients = [gradient for gradient in asked if gradient is not None]
        group.add(gradients)
        largest[name] = float(torch.nn.utils.get_total_norm(gradients, torch.inf)) if gradients else 0.0
    return largest


def _watch(name: str, found: dict[str, list[Tensor]]) -> Any:
    """A hook that keeps what a module returned if that is not finite, though its inputs and parameters are.

    A module's hook runs after those of the modules inside it, so the innermost one comes first.
    """

    def hook(module: nn.Module, given: Any, named: Any, made: Any) -> None:
        if not _finite(made) and _finite((given, named)) and _finite(list(module.parameters())):
            found.setdefault(name, list(_tensors(made)))

    return hook


def _finite(values: Any) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in _tensors(values))


def _tensors(values: Any) -> Iterator[Tensor]:
    """The floating tensors among a module's inputs or outputs."""
    if isinstance(values, Tensor) and values.is_floating_point():
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif is_dataclass(values) and not isinstance(values, type):
        yield from _tensors(list(vars(values).values()))


def _first_culprit(found: Mapping[str, list[Tensor]], terms: list[Tensor]) -> str | None:
    """The first module on whose result one of the terms depends."""
    for name, made in found.items():
        for tensor in made:
            if tensor.requires_grad and any(_depends(term, tensor) for term in terms):
                return name
    return None


def _depends(term: Tensor, tensor: Tensor) -> bool:
    (gradient,) = torch.autograd.grad(term, tensor, retain_graph=True, allow_unused=True)
    return gradient is not None
