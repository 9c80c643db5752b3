"""Names of checks of the gate that other modules ask for."""

#: A candidate that merges several models is better than each of them.
BEST_PART = "best_part"
