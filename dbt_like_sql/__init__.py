"""The SQL models: one SELECT a file; folder = schema, file = table. Read by `media_assets.lake.sql`."""
