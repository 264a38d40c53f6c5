"""Engines: each runs networks with one library, behind one interface."""
