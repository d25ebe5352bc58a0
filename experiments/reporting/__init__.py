"""Tables, verdicts in words and the report."""
