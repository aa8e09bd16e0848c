"""The HTTP edge: everything between a request and ``service.types.service.Service``; here is what all routes share.

It may import service.types, service.jobs, service.errors and the packages' errors; no command line. Begin with
``routes/router.py``, which puts the edge together.
"""
