"""The gate: checks that a candidate must pass before it can become champion."""
