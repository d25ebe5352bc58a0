"""Experiment trackers: the protocol, and adapters for those that exist."""
