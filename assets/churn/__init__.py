"""Churn: customers who will not buy again."""
