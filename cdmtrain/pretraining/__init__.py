"""Learning without labels: what a network is asked instead of the particle, and how well that goes."""
