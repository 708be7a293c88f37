"""What the pipeline does: exchange, planning and warehouse together. Knows nothing of Dagster."""
