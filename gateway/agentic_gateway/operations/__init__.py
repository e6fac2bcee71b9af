"""What an operator of the gateway sees and does: readiness, metrics, the access log, an end that hands streams over."""
