"""The upload endpoint, mirrored."""
