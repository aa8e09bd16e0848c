"""Runs the served model: loads it, and decodes the prompts of all requests together, each under its own edits.

Imports ``editing`` (side paths and the model's digest) and ``service.errors``. Begin with ``protocol``, the seam to the
rest of the service, then ``local`` and ``scheduler``.
"""
