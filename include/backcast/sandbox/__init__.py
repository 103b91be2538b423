"""Runs code that nobody has read: in a checkout of its own, with limits, and without the network."""
