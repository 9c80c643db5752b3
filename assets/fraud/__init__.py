"""Fraud: card payments that were not made by the card's owner."""
