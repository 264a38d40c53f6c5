"""What collections cost: calls, memory, disk, and neighbours that an index misses."""
