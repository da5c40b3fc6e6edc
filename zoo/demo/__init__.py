"""The whole job on simulated data."""
