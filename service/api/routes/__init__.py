"""The addresses: one file for each group of them, and ``router``, which installs all on an application.

They may import the rest of service.api and service.types. Begin with ``generate``, the shortest way to the model.
"""
