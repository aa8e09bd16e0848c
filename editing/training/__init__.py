"""Training of the editor network, of the scope model, and of one change for many edits.

Imports every other part of editing; nothing that serves imports it. Begin with ``train``.
"""
