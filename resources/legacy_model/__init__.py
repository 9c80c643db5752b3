"""Models that were made elsewhere, as files, commands or endpoints."""
