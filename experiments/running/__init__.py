"""Who runs the trials that a store does not have: threads, processes, clusters, and their manager."""
