"""What the code assumes of the exchange: stated once, tested by `deribit-pipeline check`.

Code and documents refer to an assumption by its id, such as assumption:candles-most.
"""
