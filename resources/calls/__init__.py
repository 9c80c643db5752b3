"""Calls to models, on this machine or on others: cache, budget, rate limit, retry, timeout, redaction, cost, trace."""
