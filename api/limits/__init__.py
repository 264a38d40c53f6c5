"""Limits that keep one caller from taking the service from the others."""
