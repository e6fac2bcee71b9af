"""An agent that may look, but asks before it pays."""
