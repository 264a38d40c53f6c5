"""Helpers of the tests: servers, toy models, pictures, callers that misbehave."""
