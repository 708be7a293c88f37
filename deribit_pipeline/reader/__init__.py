"""The reader's functions, which `deribit_pipeline.read` offers: rows of proved days as frames."""
