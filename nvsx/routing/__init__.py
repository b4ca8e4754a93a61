"""Routing: which one runbook answers to what was reported, and why the others do not."""
