"""Values of cached steps, kept beyond the process."""
