"""Media Assets: a media lakehouse on Dagster and Delta Lake."""

__version__ = "0.1.0"
