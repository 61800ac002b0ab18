"""One video at a time: what it is, and the stills worth looking at. A file object in, values out."""
