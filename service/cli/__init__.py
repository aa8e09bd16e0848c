"""The command line ``errata``: one file for each group of commands, which fill an options object and call a use-case.

They may import everything of service; torch and servers only within the commands. Begin with ``main``.
"""
