"""What the end-to-end and crash tests drive the gateway with. See ../README.md."""
