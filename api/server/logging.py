"""The service's log: one format, to stderr, every line with the id of the request it was written in."""

from typing import Any

FORMAT = "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"


def log_config(level: str = "INFO") -> dict[str, Any]:
    """Return a configuration for logging.config.dictConfig; uvicorn's own access log is replaced by ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "api.request_id.RequestIdFilter"}},
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
