"""Support triage: steps, rules and training of the composition that reads a customer's ticket."""
