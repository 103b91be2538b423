"""A Message Batches API on a local port, for development and tests. No model is asked."""
