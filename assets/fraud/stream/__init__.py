"""The fraud stream: payment events scored one batch at a time."""
