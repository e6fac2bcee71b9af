"""A purchase that three people have to approve."""
