"""Accuracy under corruptions, rotations and fewer points."""
