"""Registers Backcast's plugin where the package is on the path but not installed; else its entry point does."""

from __future__ import annotations

from backcast.orchestration import plugin

if not plugin.comes_by_entry_point():
    BackcastPlugin = plugin.BackcastPlugin
