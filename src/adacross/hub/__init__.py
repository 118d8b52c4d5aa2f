"""Encoders and collections on the Hugging Face hub."""
