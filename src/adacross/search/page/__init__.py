"""The page in the browser (extra `app`)."""

from adacross.search.page.server import serve

__all__ = ["serve"]
