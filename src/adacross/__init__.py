"""adacross: a folder of unlabelled 3-D shapes in, an encoder that understands them out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adacross.version import __version__

if TYPE_CHECKING:
    from adacross.data.collection.collection import Collection as Collection
    from adacross.data.collection.inspect import inspect as inspect
    from adacross.data.collection.prepare import prepare as prepare
    from adacross.embeddings import Embeddings as Embeddings
    from adacross.embeddings import embed as embed
    from adacross.embeddings import read_embeddings as read_embeddings
    from adacross.encoders import DGCNN as DGCNN
    from adacross.encoders import Encoder as Encoder
    from adacross.encoders import PointM2AE as PointM2AE
    from adacross.encoders import PointNet as PointNet
    from adacross.encoders import ResNet as ResNet
    from adacross.encoders import load as load
    from adacross.encoders import load_official as load_official
    from adacross.encoders.encode import encode as encode
    from adacross.errors import UserError as UserError
    from adacross.evaluation.compare.measure import evaluate_compare as evaluate_compare
    from adacross.evaluation.few_shot.measure import evaluate_few_shot as evaluate_few_shot
    from adacross.evaluation.fine_tune import evaluate_fine_tune as evaluate_fine_tune
    from adacross.evaluation.images.measure import evaluate_images as evaluate_images
    from adacross.evaluation.linear import evaluate_linear as evaluate_linear
    from adacross.evaluation.retrieval.measure import evaluate_retrieval as evaluate_retrieval
    from adacross.evaluation.robustness.measure import evaluate_robustness as evaluate_robustness
    from adacross.evaluation.segmentation.parts import (
        evaluate_part_seg as evaluate_part_seg,
    )
    from adacross.evaluation.segmentation.scenes import (
        evaluate_sem_seg as evaluate_sem_seg,
    )
    from adacross.hub import fetch as fetch
    from adacross.hub import share as share
    from adacross.labeling import propose as propose
    from adacross.labeling import suggest as suggest
    from adacross.losses.nt_xent import nt_xent as nt_xent
    from adacross.methods import AdaCrossNet as AdaCrossNet
    from adacross.methods import CrossNet as CrossNet
    from adacross.methods import CrossPoint as CrossPoint
    from adacross.methods import JointMAE as JointMAE
    from adacross.onnx import export as export
    from adacross.report import write_report as write_report
    from adacross.run import Run as Run
    from adacross.run import pretrain as pretrain
    from adacross.search import SearchIndex as SearchIndex
    from adacross.training.config import PretrainConfig as PretrainConfig
    from adacross.training.loop import Callback as Callback


# Public names and where they live; each is imported when it is first used, so `import adacross` is cheap.
_HOMES = {
    "AdaCrossNet": "adacross.methods",
    "Callback": "adacross.training.loop",
    "Collection": "adacross.data.collection.collection",
    "CrossNet": "adacross.methods",
    "CrossPoint": "adacross.methods",
    "DGCNN": "adacross.encoders",
    "Embeddings": "adacross.embeddings",
    "Encoder": "adacross.encoders",
    "PointM2AE": "adacross.encoders",
    "PointNet": "adacross.encoders",
    "JointMAE": "adacross.methods",
    "PretrainConfig": "adacross.training.config",
    "ResNet": "adacross.encoders",
    "Run": "adacross.run",
    "SearchIndex": "adacross.search",
    "UserError": "adacross.errors",
    "embed": "adacross.embeddings",
    "encode": "adacross.encoders.encode",
    "evaluate_compare": "adacross.evaluation.compare.measure",
    "evaluate_few_shot": "adacross.evaluation.few_shot.measure",
    "evaluate_fine_tune": "adacross.evaluation.fine_tune",
    "evaluate_images": "adacross.evaluation.images.measure",
    "evaluate_part_seg": "adacross.evaluation.segmentation.parts",
    "evaluate_robustness": "adacross.evaluation.robustness.measure",
    "evaluate_sem_seg": "adacross.evaluation.segmentation.scenes",
    "evaluate_linear": "adacross.evaluation.linear",
    "evaluate_retrieval": "adacross.evaluation.retrieval.measure",
    "export": "adacross.onnx",
    "fetch": "adacross.hub",
    "inspect": "adacross.data.collection.inspect",
    "load": "adacross.encoders",
    "load_official": "adacross.encoders",
    "nt_xent": "adacross.losses.nt_xent",
    "prepare": "adacross.data.collection.prepare",
    "pretrain": "adacross.run",
    "propose": "adacross.labeling",
    "read_embeddings": "adacross.embeddings",
    "share": "adacross.hub",
    "suggest": "adacross.labeling",
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
