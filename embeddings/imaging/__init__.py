"""The one decode path: from the bytes of a file to the input of a network."""
