"""Milvus Lite: the engine that keeps collections in a directory of this machine."""
