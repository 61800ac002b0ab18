"""People's labels: what is asked of annotators, and what they answer. Not here: what the rows mean (`tables/`)."""
