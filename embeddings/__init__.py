"""Images in, vectors and labels out, and the collection that keeps them."""
