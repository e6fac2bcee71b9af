"""The API server: a small client, leader election, Events, errors."""
