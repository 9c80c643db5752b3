"""Vector search without a store: tokens, BM25 weights, filters, fusion, exact search."""
