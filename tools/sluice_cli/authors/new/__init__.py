"""`sluice new`: writes a stream from samples."""
