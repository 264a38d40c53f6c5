"""What runs a network: one interface, one module an implementation."""
