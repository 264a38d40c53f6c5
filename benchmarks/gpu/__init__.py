"""What a GPU does for network, engine, decoding and indexing."""
