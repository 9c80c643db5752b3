"""A third party's trainer: LightGBM, as somebody else would write it."""
