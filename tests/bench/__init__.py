"""Measurements for `make bench`. They print figures and judge nothing: no test depends on how fast a machine is."""
