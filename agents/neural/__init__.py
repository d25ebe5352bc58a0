"""Agents with neural networks, learning from labels or from reward; nothing here imports tensorflow until needed."""
