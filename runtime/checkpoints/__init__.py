"""Checkpoints: how a job's epochs are taken, kept and gone back to."""
