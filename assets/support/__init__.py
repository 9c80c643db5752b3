"""Support: tickets triaged, and answered from the knowledge base."""
