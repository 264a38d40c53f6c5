"""ASGI middleware: one module a concern, in the order that api/app.py gives."""
