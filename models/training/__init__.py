"""How models are made, calibrated and packed."""
