"""Fetches images from the web, from public addresses only."""
