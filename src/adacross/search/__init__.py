"""Search a collection by shape or by image: an index, a command, a page."""
