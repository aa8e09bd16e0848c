"""HTTP, command line, settings and use-cases. The only package that knows HTTP and environment variables."""
