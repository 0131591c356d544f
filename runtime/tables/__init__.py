"""The tables of a job, which answer SQL while it runs."""
