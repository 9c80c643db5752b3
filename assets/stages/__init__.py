"""Stages that two or more applications share; nothing here knows an application's name."""
