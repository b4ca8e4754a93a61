"""What nvsx must survive, as measurements that anyone can repeat: `python -m tests.trust NAME --count N`."""
