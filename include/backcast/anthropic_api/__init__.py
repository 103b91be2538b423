"""The only code that imports anthropic."""
