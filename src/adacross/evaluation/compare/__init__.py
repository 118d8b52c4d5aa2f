"""Several encoders on the same seeds."""
