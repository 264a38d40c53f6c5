"""Images from the web, fetched from public addresses only."""
