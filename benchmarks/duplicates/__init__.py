"""How many duplicates are found, and what looking for them costs."""
