"""The page in the browser (extra `adacross[app]`)."""

from adacross.search.page.server import serve

__all__ = ["serve"]
