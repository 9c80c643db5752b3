"""What training and serving agree on: Feast entities, feature views and feature services."""
