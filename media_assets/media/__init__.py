"""One item at a time, bytes in, values out: identity, probing, frames, tensors, pictures of pictures.

Not here: anything that knows Dagster, disk, network, clock or environment, and anything about whole sets.
"""
