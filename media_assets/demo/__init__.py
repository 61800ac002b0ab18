"""Sample media made in code, and a loopback server with switchable faults."""
