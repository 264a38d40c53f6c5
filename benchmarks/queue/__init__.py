"""What jobs by workers cost more than indexing in one process."""
