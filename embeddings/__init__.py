"""From image files to vectors, logits and tags; knows no collection."""
