"""Jobs and pods as the operator makes them. Pure."""
