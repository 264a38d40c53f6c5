"""How fast folders are indexed, compared with other ways and with other programs, and what memory that takes."""
