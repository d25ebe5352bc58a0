"""The harness: agents × environments × seeds, and what came of them."""
