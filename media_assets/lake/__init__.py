"""Storage: Delta tables, blobs, journals. Idempotent reads and writes of our own data; no policy, no Dagster."""
