"""The store in Milvus, whichever of its engines is behind it."""
