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


# Public names and where they live; each is imported when it is first used, so `import adacross` is cheap.
_HOMES = {
    "AdaCrossNet": "adacross.methods",
    "Callback": "adacross.training.loop",
    "Collection": "adacross.data.collection.collection",
    "BrokenShapeError": "adacross.data.shape",
    "CrossNet": "adacross.methods",
    "CrossPoint": "adacross.methods",
    "DGCNN": "adacross.encoders",
    "DatasetIndex": "adacross.data.formats.base",
    "Embeddings": "adacross.embeddings.table",
    "Encoder": "adacross.encoders",
    "Format": "adacross.data.formats.base",
    "Mesh": "adacross.data.shape",
    "PointCloud": "adacross.data.shape",
    "SampleRef": "adacross.data.formats.base",
    "read_shape": "adacross.data.formats.files",
    "PointM2AE": "adacross.encoders",
    "PointNet": "adacross.encoders",
    "JointMAE": "adacross.methods",
    "PretrainConfig": "adacross.training.config",
    "ResNet": "adacross.encoders",
    "SearchIndex": "adacross.search.index",
    "Run": "adacross.run",
    "UserError": "adacross.errors",
    "Result": "adacross.evaluation.result",
    "find_duplicates": "adacross.duplicates.find",
    "compare": "adacross.evaluation.compare",
    "efficiency": "adacross.evaluation.efficiency",
    "embed": "adacross.embeddings.embed",
    "encode": "adacross.encoders.encode",
    "evaluate": "adacross.evaluation",
    "export": "adacross.onnx.to_onnx",
    "fetch": "adacross.hub.share",
    "inspect": "adacross.data.collection.inspect",
    "load": "adacross.encoders",
    "load_official": "adacross.encoders",
    "nt_xent": "adacross.losses.nt_xent",
    "prepare": "adacross.data.collection.prepare",
    "pretrain": "adacross.run",
    "propose": "adacross.labeling.propose",
    "read_embeddings": "adacross.embeddings.table",
    "sample_points": "adacross.data.sampling",
    "share": "adacross.hub.share",
    "suggest": "adacross.labeling.suggest",
    "write_report": "adacross.report",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  all are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'adacross' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
