"""Many slow parts side by side, in waves."""
