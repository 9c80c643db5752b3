"""The embedder port: vectors of texts."""
