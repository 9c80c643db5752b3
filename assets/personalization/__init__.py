"""Personalization: a list of products for each customer, every night and on request."""
