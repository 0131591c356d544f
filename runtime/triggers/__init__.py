"""Triggers: what a job did from one moment to the next, in the field names of Spark."""
