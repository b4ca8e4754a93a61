"""New runbooks: drafts made from a page or a starter, and how they get into a project."""
