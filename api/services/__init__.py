"""The work behind the routes, without HTTP."""
