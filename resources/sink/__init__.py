"""Where published scores live."""
