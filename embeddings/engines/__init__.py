"""Engines: each runs a network on one kind of hardware, behind one interface."""
