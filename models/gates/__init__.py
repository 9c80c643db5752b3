"""What a candidate must pass before it may be put in charge."""
