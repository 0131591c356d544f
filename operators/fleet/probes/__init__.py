"""What is asked of a machine, and what its answer is made into."""
