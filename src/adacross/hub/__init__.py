"""Encoders and collections given to others, through the Hugging Face hub."""

from adacross.hub.command import Shared, fetch, share

__all__ = ["Shared", "fetch", "share"]
