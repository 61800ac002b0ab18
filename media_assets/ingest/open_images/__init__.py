"""Open Images V7: plans image batches from the dataset's own CSV files. Not here: the images' bytes."""
