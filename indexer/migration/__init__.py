"""Whole collections copied, compacted and restored."""
