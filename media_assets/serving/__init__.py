"""What training code imports: readers over finished tables. Not here: making the tables (`stages/`)."""
