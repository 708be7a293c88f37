"""The functions of `deribit_pipeline.read`: rows of proved days as frames."""
