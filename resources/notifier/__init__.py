"""Who is told when something needs a person."""
