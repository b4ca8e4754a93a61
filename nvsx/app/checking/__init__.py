"""What can be said of a project and a machine before anything runs."""
