"""Golden frames of the deck: the runs that they show, and `python -m tests.frames`, which draws them anew."""
