"""The Dagster graph: one module per stage, plus partitions, resources, automation and runs. It wires; it decides nothing."""
