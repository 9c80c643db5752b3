"""What training and serving agree on: Feast entities, views and services. Importing a module here imports Feast."""
