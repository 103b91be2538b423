"""Backcast: LLM document jobs on Anthropic's Message Batches API, at half price and still on time."""
