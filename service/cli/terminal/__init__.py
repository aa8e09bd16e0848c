"""What all commands share: options, the one display of progress, the one way to end on an error, tables.

It may import service.progress, service.amounts, service.client and the packages' errors. Begin with ``options``.
"""
