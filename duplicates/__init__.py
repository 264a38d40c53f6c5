"""Finds duplicates in a collection: the same bytes, copies of the same image, images that look alike."""
