"""What the benchmarks of the gateway are made of."""
