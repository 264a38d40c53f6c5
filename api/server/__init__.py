"""The process that serves: listener, connections, logging."""
