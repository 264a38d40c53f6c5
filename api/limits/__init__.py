"""Limits that keep one caller from crowding out the others."""
