"""What is likely to be wrong with an experiment, told before anything runs."""
