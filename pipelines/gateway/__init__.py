"""ASGI middleware in front of every HTTP server of the project."""
