"""HTTP, command line, settings and the service itself. The only package that knows HTTP and environment variables."""
