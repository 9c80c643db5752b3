"""Training, calibration and packaging of models."""
