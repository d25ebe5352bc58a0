"""Agents, policies and environments as one kind of text."""
