"""Running one pure function over many items: in this process, or in a pool of confined worker processes."""
