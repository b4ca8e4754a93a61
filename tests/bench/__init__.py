"""Figures about nvsx, measured on the machine at hand: `make bench` prints them as one JSON object."""
