"""Passes over a fleet: when they begin, what is open in them, and what they came to."""
