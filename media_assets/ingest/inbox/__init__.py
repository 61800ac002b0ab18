"""The inbox as a source: what has landed there, what of it is whole, and when it becomes a batch."""
