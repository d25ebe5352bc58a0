"""Agents that learn from labelled examples with neural networks; nothing here imports tensorflow until it is needed."""
