"""The first-run wizard: what it asks, what it sees of the cluster, and what it writes."""
