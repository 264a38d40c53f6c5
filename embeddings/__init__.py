"""Turns image files into vectors, logits and tags; knows no collection."""
