"""What the project depends on: under which licences, with which known problems, and what it carries inside."""
