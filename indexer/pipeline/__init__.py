"""Indexing: list, compare, read, decode, embed, write."""
