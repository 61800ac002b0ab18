"""The tests are tested: each mutation breaks a promise in the source, and a named test must notice (`make mutants`)."""
