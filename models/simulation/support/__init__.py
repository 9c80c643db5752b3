"""Support of the simulated shop: its tickets, what agents say of them, and the articles of its knowledge base."""
