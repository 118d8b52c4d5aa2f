"""Few-shot classification of pictures with an image tower."""
