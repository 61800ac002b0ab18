"""Label Studio over its HTTP API: tasks pushed once, annotations pulled, tasks opened again. No lake, no Dagster."""
