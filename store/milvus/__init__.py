"""The store in Milvus, over any of its engines."""
