"""Finds what a collection has more than once: the same bytes, the same picture, pictures that look alike."""
