"""Few-shot classification: the published protocols and ours."""
