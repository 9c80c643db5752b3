"""Features, labels and cut-offs of an entity at a point in time."""
