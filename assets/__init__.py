"""The asset room, WHAT exists: one package per application; its assets, read top to bottom, are the lineage."""
