"""ASGI middleware, one module per concern; api/app.py gives the order."""
