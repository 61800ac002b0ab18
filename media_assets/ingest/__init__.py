"""The sources: each plans batches of items; the guarded fetcher brings their bytes. No Dagster."""
