"""The read path: the HTTP service."""
