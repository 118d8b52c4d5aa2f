"""A part or a class for every point."""
