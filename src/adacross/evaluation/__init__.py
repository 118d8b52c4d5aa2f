"""What an encoder learnt, measured: one file a protocol."""
