"""NVSentinel's MongoDB through the real mongosh: one process for as long as nvsx looks, and nothing but reads."""
