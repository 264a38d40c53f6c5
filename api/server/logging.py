"""Configuration of the log: one format, on stderr, with the request id on every line."""

from typing import Any

FORMAT = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"


def log_config(level: str = "INFO") -> dict[str, Any]:
    """Return a configuration for logging.config.dictConfig; our access log replaces uvicorn's."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "api.current_request.RequestIdFilter"}},
        "formatters": {"line": {"format": FORMAT}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "line",
                "filters": ["request_id"],
            }
        },
        "loggers": {
            "uvicorn": {"level": "WARNING"},
            "uvicorn.access": {"level": "CRITICAL", "propagate": False},
        },
        "root": {"level": level, "handlers": ["stderr"]},
    }
