"""What the service can do, as values, a noun a file; the HTTP edge knows nothing else of the service.

It imports values of the packages below and of ``service.engines.protocol``. Begin with ``service.py``, the protocol.
"""
