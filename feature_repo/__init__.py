"""Feast entities, views and services shared by training and serving. Importing a module here imports Feast."""
