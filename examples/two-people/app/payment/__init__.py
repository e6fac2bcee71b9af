"""A payment that two people have to approve."""
