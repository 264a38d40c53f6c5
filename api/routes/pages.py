"""The web page at `/` and the interactive API documentation at `/docs`; neither loads anything from another host."""

from importlib.resources import files
from pathlib import Path

from fastapi import Response
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

from api.routes.router import Router

STATIC = Path(__file__).parents[1] / "static"
SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
_DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>lookalike: HTTP API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/static/swagger-ui.css">
</head>
<body>
<main id="api"></main>
<script src="docs/static/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# a file of its own, since the content security policy allows no inline scripts; without validatorUrl, Swagger UI sends
# the address of the document to a validator on the internet
_DOCS_SCRIPT = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null, defaultModelsExpandDepth: 0,
});
"""

router = Router(include_in_schema=False)


@router.get("/")
async def web_page() -> FileResponse:
    """Return the web page."""
    return FileResponse(STATIC / "index.html")


@router.get("/docs")
async def api_docs() -> HTMLResponse:
    """Return the page of the API documentation."""
    return HTMLResponse(_DOCS)


@router.get("/docs/start.js")
async def api_docs_script() -> Response:
    """Return the script that shows the OpenAPI document."""
    return Response(_DOCS_SCRIPT, media_type="text/javascript")


static_files = {
    "/static": StaticFiles(directory=STATIC, check_dir=False),
    "/docs/static": StaticFiles(directory=SWAGGER_UI),
}
