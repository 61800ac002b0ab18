"""What people are asked: projects, the queue, and the tool that they answer in."""
