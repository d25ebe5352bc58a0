"""velodrome: put reinforcement-learning agents on one track and see who is better."""
