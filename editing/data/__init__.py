"""Facts, wordings and examples that editors are trained and judged on, and readers of public data sets.

Imports ``language``; nothing that serves imports it. Begin with ``facts``, then ``datasets``.
"""
