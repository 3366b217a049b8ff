"""Members and peers of a PBTS tracker.

pbts.tee_manager  keys and quotes from a TEE
pbts.receipts     receipts for pieces: what is signed, and by which signatures
pbts.bep10        the extension by which peers hand receipts to each other
"""

__version__ = "0.1.0"
