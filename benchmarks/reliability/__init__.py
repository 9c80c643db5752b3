"""Harmful changes of a night and faultless nights: how many are seen, and how often a faultless one is called odd."""
