"""Assumptions of the code about the exchange: stated once here, tested by `deribit-pipeline check`.

Code and documents refer to an assumption by its id, such as assumption:candles-most.
"""
