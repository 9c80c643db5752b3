"""Personalization: the steps from a customer, or a visit, to a list of products."""
