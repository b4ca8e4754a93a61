"""nvsx: runbooks around NVIDIA NVSentinel's fault chain."""

__version__ = "1.0.0"
