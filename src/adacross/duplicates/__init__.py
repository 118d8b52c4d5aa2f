"""Copies of one part among many: identical, rescaled, mirrored or nearly equal."""
