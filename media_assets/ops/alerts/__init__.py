"""From what went wrong to a message that somebody reads: grouped, paced, delivered, and said again when it is over."""
