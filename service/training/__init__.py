"""Training of what the service uses: the editor, the scope model, the retriever, and the reader.

It may import everything but evaluation, export, the command line and the client. Begin with ``editor``.
"""
