"""Features of many shapes as a file."""
