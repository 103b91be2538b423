"""Pure decisions: no clock, no input, no output."""
