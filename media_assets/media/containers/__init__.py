"""The byte structure of still files, walked without decoding: one module per container.

Every walk is bounded in steps, so a file made of a million tiny parts costs no more than a photo. Not here:
pixels.
"""
