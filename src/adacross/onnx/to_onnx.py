"""`adacross export`: an encoder as an ONNX file, compared with onnxruntime before it is written."""

import copy
import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from adacross.console import Shown, Table, console
from adacross.encoders import Encoder
from adacross.encoders.inputs import MIN_POINTS
from adacross.errors import UserError, check_ending, install, one_line
from adacross.features.sources import find_encoder
from adacross.io.files import check_free, whole_file
from adacross.io.remote import local_target
from adacross.version import __version__

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18
MIN_TORCH = (2, 9)  # the first whose exporter writes this opset
# Relative to the features' norm. Rounding alone gives 1e-7. Where two points are equally far up to rounding,
# the programs may choose different neighbors, which changes some features of one point by some thousandths. A
# wrongly computed point, even one of a thousand, is far above this.
TOLERANCE = 5e-3


@dataclass(frozen=True)
class Difference:
    """Difference of onnxruntime's features from the encoder's."""

    clouds: int  # in the batch
    points: int  # of each cloud
    largest: float  # largest absolute difference, relative to the largest feature
    norm: float  # norm of the difference, relative to that of the features


@dataclass(frozen=True)
class Exported(Shown):
    """Result of `export`."""

    path: Path  # the ONNX file
    kind: str  # of the encoder
    dim: int  # of its features
    size: int  # of the file in bytes
    seconds: float  # of writing and checking
    differences: list[Difference]  # of onnxruntime's features from the encoder's, for several batch sizes

    def table(self) -> Table:
        """Render as a rich table."""
        title = f"{self.path}: {self.kind}, {self.dim} features, {self.size / 2**20:.1f} MiB"
        caption = f"checked with onnxruntime in {self.seconds:.0f} s"
        table = Table(title=title, caption=caption)
        for column in ("clouds", "points", "max. difference / max. feature", "relative norm"):
            table.add_column(column, justify="right")
        for row in self.differences:
            table.add_row(str(row.clouds), f"{row.points:,}", f"{row.largest:.1e}", f"{row.norm:.1e}")
        return table


class _Outputs(nn.Module):
    """The outputs of the file: features, and optionally features of each point."""

    def __init__(self, encoder: Encoder, point_features: bool) -> None:
        super().__init__()
        self.encoder, self.point_features = encoder, point_features

    def forward(
        self, points: Float[Tensor, "B N 3"]
    ) -> Float[Tensor, "B D"] | tuple[Float[Tensor, "B D"], Float[Tensor, "B N C"]]:
        if not self.point_features:
            return self.encoder(points)
        local, whole = self.encoder.both_features(points)
        return whole, local


def export(
    encoder: Encoder | str | Path,
    output: str | Path,
    *,
    point_features: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write an encoder as an ONNX file for any number of clouds and points, checked with onnxruntime.

    The file takes `points` `(clouds, points, 3)` float32 and returns `features` `(clouds, D)`. Its metadata
    describe the encoder and the clouds it expects; examples/onnx_without_torch.py reads one without torch.

    Args:
        encoder: a run, an encoder folder, hf://owner/name, builtin-small, builtin-base or builtin-any.
        output: the ONNX file to write.
        point_features: add a second output, `point_features` (clouds, points, C), for segmentation.
        overwrite: replace an existing output file.

    Raises:
        UserError: no such encoder, packages that are missing, a file that is there or cannot be written, or
            onnxruntime does not compute what the encoder does.

    Example:
        >>> encoder = adacross.load("builtin-small")  # doctest: +SKIP
        >>> adacross.export(encoder, "parts.onnx").differences  # doctest: +SKIP
    """
    path = local_target(str(output))
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the file to write, such as {path / 'model.onnx'}.")
    check_free(check_ending(path, ".onnx", "export writes ONNX"), overwrite)
    encoder = encoder if isinstance(encoder, Encoder) else find_encoder(str(encoder)).encoder
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise UserError(f"exporting needs {', '.join(missing)}, which is not installed. {install('onnx')}")
    if tuple(map(int, torch.__version__.split(".")[:2])) < MIN_TORCH:
        needed = ".".join(map(str, MIN_TORCH))
        raise UserError(f"exporting needs torch {needed} or newer; this is {torch.__version__}.")
    start = time.monotonic()
    network = copy.deepcopy(encoder).to("cpu", torch.float32).eval()
    least = least_points(encoder)
    with (
        console.status(f"writing {path} (tens of seconds for a large encoder)"),
        whole_file(path) as temporary,
    ):
        _write(_Outputs(network, point_features).eval(), temporary, least, metadata(encoder))
        training = max(least, encoder.inputs.points or 1024)
        sizes = [(1, least), (3, least + 37), (2, training), (1, training + 301)]  # smallest, odd, as trained
        differences = compare(network, temporary, sizes, point_features)
        size = temporary.stat().st_size
    return Exported(path, encoder.kind, encoder.dim, size, time.monotonic() - start, differences)


def least_points(encoder: Encoder) -> int:
    """Return the smallest number of points that an encoder accepts."""
    options = encoder.options
    first = (options[name][0] for name in ("groups", "neighbors") if name in options)
    return max(MIN_POINTS, options.get("k", 0) + 1, *first)


def metadata(encoder: Encoder) -> dict[str, str]:
    """Return the metadata of the file."""
    inputs = encoder.inputs
    return {
        "adacross": __version__,
        "encoder": encoder.kind,
        "options": json.dumps(encoder.options),
        "dim": str(encoder.dim),
        "up": inputs.up,
        "scale": inputs.scale,
        "points": "unknown" if inputs.points is None else str(inputs.points),
        "least_points": str(least_points(encoder)),
    }


def _write(network: nn.Module, path: Path, least: int, about: dict[str, str]) -> None:
    from adacross.onnx.loops import farthest_points

    outputs = ["features", "point_features"] if network.point_features else ["features"]
    example = torch.randn(2, 2 * least, 3, generator=torch.Generator().manual_seed(0))
    clouds = torch.export.Dim("clouds", min=1, max=2**20)
    points = torch.export.Dim("points", min=least, max=2**24)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example,),
                input_names=["points"],
                output_names=outputs,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: clouds, 1: points},),
                custom_translation_table={torch.ops.adacross.farthest_points.default: farthest_points},
                optimize=False,  # see below
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, ImportError) as error:  # the latter from an old onnxscript
        raise UserError(
            f"torch {torch.__version__} cannot export this encoder ({one_line(error.__cause__ or error)}). "
            "Try the versions in constraints.txt."
        ) from error
    if program is None:  # torch's type stub: only where a path is given
        raise RuntimeError("torch.onnx.export returned no program")
    from onnxscript import optimizer

    with _quiet():  # without onnxscript's arithmetic rules, which drop the 1e-8 added before a division
        optimizer.inline(program.model)
        optimizer.fold_constants(program.model)
        optimizer.remove_unused_nodes(program.model)
    program.model.metadata_props.update(about)
    program.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings and logs."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


def compare(
    encoder: Encoder, path: Path, sizes: list[tuple[int, int]], point_features: bool = False
) -> list[Difference]:
    """Compare onnxruntime's outputs with the encoder's at each size `(clouds, points)`.

    The encoder is in evaluation mode, float32, on the CPU. Of two outputs the larger difference counts; one
    above `TOLERANCE` is refused, as is a file that does not run.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    # onnxruntime's exceptions share no base class but Exception.
    errors = tuple(
        kind for kind in vars(states).values() if isinstance(kind, type) and issubclass(kind, Exception)
    )
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        differences = [
            _difference(session, encoder, synthetic_clouds(*size), point_features) for size in sizes
        ]
    except errors as error:
        raise UserError(
            f"onnxruntime {onnxruntime.__version__} cannot run the exported {encoder.kind} "
            f"({one_line(error)}); nothing was written. Try the versions in constraints.txt."
        ) from error
    worst = differences[int(np.argmax([difference.norm for difference in differences]))]  # NaN is the worst
    if not worst.norm <= TOLERANCE:
        raise UserError(
            f"onnxruntime's features of {worst.clouds} clouds of {worst.points} points differ from the "
            f"encoder's by {worst.norm:.1e} of their norm, more than {TOLERANCE:.0e}; nothing was written. "
            "Try the versions in constraints.txt."
        )
    return differences


def synthetic_clouds(clouds: int, points: int) -> Float32[np.ndarray, "B N 3"]:
    """Return random curved surfaces in the unit sphere, which resemble real shapes."""
    draw = np.random.default_rng(0)
    u, v = draw.uniform(0, 2 * np.pi, (2, clouds, points))
    thickness, twist = draw.uniform(0.1, 0.6, (clouds, 1)), draw.integers(0, 4, (clouds, 1))
    radius = 1 + thickness * np.cos(v + twist * u)
    cloud = np.stack([radius * np.cos(u), thickness * np.sin(v + twist * u) + 0.2 * u, radius * np.sin(u)], 2)
    cloud -= cloud.mean(1, keepdims=True)
    cloud /= np.linalg.norm(cloud, axis=2).max(1)[:, None, None]
    return cloud.astype(np.float32)


def _difference(
    session: Any, encoder: Encoder, clouds: Float[np.ndarray, "B N 3"], point_features: bool
) -> Difference:
    outputs = session.run(None, {"points": clouds})
    with torch.no_grad():
        expected = [encoder(torch.from_numpy(clouds)).numpy()]
        if point_features:
            expected.append(encoder.point_features(torch.from_numpy(clouds)).numpy())
    pairs = list(zip(outputs, expected, strict=True))
    return Difference(
        clouds=clouds.shape[0],
        points=clouds.shape[1],
        largest=float(np.max([np.abs(a - b).max() / np.abs(b).max() for a, b in pairs])),
        norm=float(np.max([np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in pairs])),
    )
