"""The watch over contracted tables: profiles of days, findings, decisions of people, checks."""
