"""What is known about an entity at a moment: features, labels and cut-offs."""
