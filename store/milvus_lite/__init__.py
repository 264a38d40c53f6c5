"""Milvus Lite: the engine that stores collections in a directory on this machine."""
