"""Where documents come from."""

from backcast.sources.git import GitSource

__all__ = ["GitSource"]
