"""Settings that find themselves: what is measured of calls, and who draws conclusions from it."""
