"""Classes for a whole collection from a few labels."""
