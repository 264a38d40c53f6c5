"""Rows moved as a whole: copied, compacted, restored."""
