"""Runs on the simulated cluster: demo, drills, and the tests of runbooks."""
