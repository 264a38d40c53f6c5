"""The write path: from a source of images to rows in a collection."""
