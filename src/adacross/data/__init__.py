"""Shapes in: from files to a collection, and batches of it."""
