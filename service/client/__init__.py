"""The client of a running service, and what the command line does with it: files of corrections, exports of the log.

It may import schemas and problems of service.api, the offline checks of editing, and ``errata``; no terminal. Begin
with ``http``.
"""
