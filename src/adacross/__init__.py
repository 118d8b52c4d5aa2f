"""adacross: a folder of unlabelled 3-D shapes in, an encoder that understands them out."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adacross.data.collection import Collection as Collection
    from adacross.data.inspect import inspect as inspect
    from adacross.data.prepare import prepare as prepare
    from adacross.encoders import DGCNN as DGCNN
    from adacross.encoders import Encoder as Encoder
    from adacross.encoders import PointM2AE as PointM2AE
    from adacross.encoders import PointNet as PointNet
    from adacross.encoders import ResNet as ResNet
    from adacross.encoders import load_encoder as load_encoder
    from adacross.encoders import load_official as load_official
    from adacross.errors import UserError as UserError
    from adacross.evaluation.features import encode as encode
    from adacross.evaluation.linear import evaluate_linear as evaluate_linear
    from adacross.evaluation.retrieval.measure import evaluate_retrieval as evaluate_retrieval
    from adacross.losses.nt_xent import nt_xent as nt_xent
    from adacross.methods import AdaCrossNet as AdaCrossNet
    from adacross.methods import CrossNet as CrossNet
    from adacross.methods import CrossPoint as CrossPoint
    from adacross.methods import JointMAE as JointMAE
    from adacross.report import write_report as write_report
    from adacross.training.config import PretrainConfig as PretrainConfig
    from adacross.training.pretrain import pretrain as pretrain

__version__ = version("adacross")

# Public names and where they live; each is imported when it is first used, so `import adacross` is cheap.
_HOMES = {
    "AdaCrossNet": "adacross.methods",
    "Collection": "adacross.data.collection",
    "CrossNet": "adacross.methods",
    "CrossPoint": "adacross.methods",
    "DGCNN": "adacross.encoders",
    "Encoder": "adacross.encoders",
    "PointM2AE": "adacross.encoders",
    "PointNet": "adacross.encoders",
    "JointMAE": "adacross.methods",
    "PretrainConfig": "adacross.training.config",
    "ResNet": "adacross.encoders",
    "UserError": "adacross.errors",
    "encode": "adacross.evaluation.features",
    "evaluate_linear": "adacross.evaluation.linear",
    "evaluate_retrieval": "adacross.evaluation.retrieval.measure",
    "inspect": "adacross.data.inspect",
    "load_encoder": "adacross.encoders",
    "load_official": "adacross.encoders",
    "nt_xent": "adacross.losses.nt_xent",
    "prepare": "adacross.data.prepare",
    "pretrain": "adacross.training.pretrain",
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
