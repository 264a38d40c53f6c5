"""Models: identity, card, network."""
