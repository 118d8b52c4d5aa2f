"""Features of many shapes, kept in a file that other programs read."""

from adacross.embeddings.command import embed
from adacross.embeddings.table import Embeddings, read_embeddings
from adacross.features.collection import features_of

__all__ = ["Embeddings", "embed", "features_of", "read_embeddings"]
