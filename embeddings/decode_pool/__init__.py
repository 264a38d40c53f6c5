"""Child processes that decode images, with limits on memory and time."""
