"""Simulations from the command line: each seed in a process of its own."""

from __future__ import annotations
