"""Indexing jobs, and the service that runs them in its own process."""
