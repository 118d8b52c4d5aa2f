"""The networks of a run that evaluation and search use."""

from adacross.encoders import Encoder
from adacross.features.sources import NamedEncoder
from adacross.methods import METHODS, CrossModal
from adacross.training.config import PretrainConfig
from adacross.training.run import load_method


def load_towers(entry: NamedEncoder) -> Encoder | CrossModal:
    """Return a run's method if it has an image tower, else the encoder.

    Raises:
        UserError: the run's files are missing or damaged.
    """
    if entry.run and issubclass(METHODS[PretrainConfig.load(entry.run).method], CrossModal):
        method, _ = load_method(entry.run)
        if isinstance(method, CrossModal):
            return method
    return entry.encoder
