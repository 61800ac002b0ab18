"""Programs that are measured, each a process of its own. Some run in environments that have nothing of this project."""
