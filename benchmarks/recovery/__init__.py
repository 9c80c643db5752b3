"""Recovery: work that is killed at random times, and homes that are damaged, against an undisturbed run."""
