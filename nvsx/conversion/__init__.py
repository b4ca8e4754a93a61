"""Turning a team's page of instructions into a runbook: what is on the page, whose work it is, where it belongs."""
