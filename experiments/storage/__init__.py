"""Every trial kept: its key, its row, and how it was run."""
