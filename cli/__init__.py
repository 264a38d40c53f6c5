"""The commands behind `lookalike`, one module a command."""
