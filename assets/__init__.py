"""WHAT exists: one module per application, read top to bottom as the lineage."""
