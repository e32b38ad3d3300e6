"""What to read when, and what to make of it."""
