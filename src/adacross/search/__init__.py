"""Shapes found by shapes and pictures: an index, a command, a page."""

from adacross.search.index import Neighbours, SearchIndex

__all__ = ["Neighbours", "SearchIndex"]
