"""Vector indexes: collections of rows that are found by their vectors and their words."""
