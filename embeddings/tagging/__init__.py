"""From class scores to tags."""
