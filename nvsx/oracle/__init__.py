"""The state oracle: from what is seen of one node to where NVSentinel's chain stands with it. Pure functions."""
