"""The server process: listener, connections, logging."""
