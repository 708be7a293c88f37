"""Export proved rows of the warehouse as files for other programs, with a manifest of their
proofs."""
