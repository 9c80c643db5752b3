"""The shop: its contracted tables, as the source delivers them."""
