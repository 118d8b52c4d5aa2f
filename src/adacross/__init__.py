"""adacross: a folder of unlabeled 3-D shapes in, an encoder that understands them out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adacross.version import __version__

if TYPE_CHECKING:
    from adacross.data.collection.collection import Collection as Collection
    from adacross.data.collection.inspect import inspect as inspect
    from adacross.data.collection.prepare import prepare as prepare
    from adacross.data.formats.base import DatasetIndex as DatasetIndex
    from adacross.data.formats.base import Format as Format
    from adacross.data.formats.base import SampleRef as SampleRef
    from adacross.data.formats.files import read_shape as read_shape
    from adacross.data.sampling import sample_points as sample_points
    from adacross.data.shape import BrokenShapeError as BrokenShapeError
    from adacross.data.shape import Mesh as Mesh
    from adacross.data.shape import PointCloud as PointCloud
    from adacross.duplicates.find import find_duplicates as find_duplicates
    from adacross.embeddings.embed import embed as embed
    from adacross.embeddings.table import Embeddings as Embeddings
    from adacross.embeddings.table import read_embeddings as read_embeddings
    from adacross.encoders import DGCNN as DGCNN
    from adacross.encoders import Encoder as Encoder
    from adacross.encoders import FrameAveraged as FrameAveraged
    from adacross.encoders import PointM2AE as PointM2AE
    from adacross.encoders import PointNet as PointNet
    from adacross.encoders import ResNet as ResNet
    from adacross.encoders import load as load
    from adacross.encoders import load_official as load_official
    from adacross.encoders.encode import encode as encode
    from adacross.errors import UserError as UserError
    from adacross.evaluation import evaluate as evaluate
    from adacross.evaluation.compare import compare as compare
    from adacross.evaluation.efficiency import efficiency as efficiency
    from adacross.evaluation.result import Result as Result
    from adacross.hub.share import fetch as fetch
    from adacross.hub.share import share as share
    from adacross.labeling.propose import propose as propose
    from adacross.labeling.suggest import suggest as suggest
    from adacross.losses.nt_xent import nt_xent as nt_xent
    from adacross.methods import AdaCrossNet as AdaCrossNet
    from adacross.methods import CrossNet as CrossNet
    from adacross.methods import CrossPoint as CrossPoint
    from adacross.methods import JointMAE as JointMAE
    from adacross.onnx.to_onnx import export as export
    from adacross.report import write_report as write_report
    from adacross.run import Run as Run
    from adacross.run import pretrain as pretrain
    from adacross.search.index import SearchIndex as SearchIndex
    from adacross.training.config import PretrainConfig as PretrainConfig
    from adacross.training.loop import Callback as Callback


# Public names by the module they live in; each is imported when it is first used: `import adacross` is cheap.
_NAMES = {
    "adacross.data.collection.collection": ("Collection",),
    "adacross.data.collection.inspect": ("inspect",),
    "adacross.data.collection.prepare": ("prepare",),
    "adacross.data.formats.base": ("DatasetIndex", "Format", "SampleRef"),
    "adacross.data.formats.files": ("read_shape",),
    "adacross.data.sampling": ("sample_points",),
    "adacross.data.shape": ("BrokenShapeError", "Mesh", "PointCloud"),
    "adacross.duplicates.find": ("find_duplicates",),
    "adacross.embeddings.embed": ("embed",),
    "adacross.embeddings.table": ("Embeddings", "read_embeddings"),
    "adacross.encoders": (
        *("DGCNN", "Encoder", "FrameAveraged", "PointM2AE", "PointNet", "ResNet", "load", "load_official"),
    ),
    "adacross.encoders.encode": ("encode",),
    "adacross.errors": ("UserError",),
    "adacross.evaluation": ("evaluate",),
    "adacross.evaluation.compare": ("compare",),
    "adacross.evaluation.efficiency": ("efficiency",),
    "adacross.evaluation.result": ("Result",),
    "adacross.hub.share": ("fetch", "share"),
    "adacross.labeling.propose": ("propose",),
    "adacross.labeling.suggest": ("suggest",),
    "adacross.losses.nt_xent": ("nt_xent",),
    "adacross.methods": ("AdaCrossNet", "CrossNet", "CrossPoint", "JointMAE"),
    "adacross.onnx.to_onnx": ("export",),
    "adacross.report": ("write_report",),
    "adacross.run": ("Run", "pretrain"),
    "adacross.search.index": ("SearchIndex",),
    "adacross.training.config": ("PretrainConfig",),
    "adacross.training.loop": ("Callback",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  all are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'adacross' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
