"""Chance that repeats itself: numbers drawn by hashing a seed and names."""

from __future__ import annotations

import hashlib

_BITS = 53  # what a float holds exactly


def draw(*names: object) -> float:
    """A number in the open interval (0, 1), the same for the same names, in any process."""
    digest = hashlib.blake2b("\x1f".join(map(str, names)).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> (64 - _BITS)) + 0.5) / (1 << _BITS)
