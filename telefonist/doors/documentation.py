"""The description of the API for people and programs: /docs (Swagger UI), /redoc and /openapi.json.

Everything comes with the package, so the pages work without the internet, and a Content-Security-Policy keeps them from
asking anybody outside. Links are relative: the pages work behind a proxy's path prefix too.
"""

from dataclasses import dataclass
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

import orjson
from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, Response

from telefonist.errors import NotFound

ASSETS = Path(__file__).parent / "assets"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # both pages put style elements into themselves
        "img-src 'self' data:",
        "connect-src 'self'",
        "worker-src blob:",  # ReDoc's search
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
PAGE_HEADERS = {"content-security-policy": CONTENT_SECURITY_POLICY, "cache-control": "no-cache"}
ASSET_HEADERS = {"cache-control": "public, max-age=31536000, immutable"}

DOCS_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="$pages_css">
<link rel="stylesheet" href="$swagger_ui_css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="$swagger_ui_bundle_js"></script>
<script src="$docs_js"></script>
</body>
</html>
""")

REDOC_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="$pages_css">
</head>
<body>
<redoc spec-url="openapi.json"></redoc>
<script src="$redoc_standalone_js"></script>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the pages, under an address that changes with its content and can be kept for ever."""

    path: Path
    media_type: str
    digest: str

    @property
    def url(self) -> str:
        return f"docs/assets/{self.digest}/{self.path.name}"


def router() -> APIRouter:
    """Make the routes; the application itself is created with ``openapi_url``, ``docs_url`` and ``redoc_url`` None."""
    routes = APIRouter(include_in_schema=False)
    assets = {path.name: _asset(path) for path in ASSETS.glob("*/*") if path.suffix in (".js", ".css")}
    urls = {name.replace(".", "_").replace("-", "_"): asset.url for name, asset in assets.items()}

    @routes.get("/docs")
    async def docs(request: Request) -> HTMLResponse:
        return _page(DOCS_PAGE, request, urls)

    @routes.get("/redoc")
    async def redoc(request: Request) -> HTMLResponse:
        return _page(REDOC_PAGE, request, urls)

    @routes.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        description = orjson.dumps(request.app.openapi())
        return Response(description, media_type="application/json", headers={"cache-control": "no-cache"})

    @routes.get("/docs/assets/{digest}/{name}")
    async def asset(digest: str, name: str, request: Request) -> FileResponse:
        known = assets.get(name)
        if known is None or known.digest != digest:
            raise NotFound("route_not_found", path=request.url.path)
        return FileResponse(known.path, media_type=known.media_type, headers=ASSET_HEADERS)

    return routes


def _asset(path: Path) -> Asset:
    media_type = "text/javascript" if path.suffix == ".js" else "text/css"
    return Asset(path, media_type, sha256(path.read_bytes()).hexdigest()[:16])


def _page(page: Template, request: Request, urls: dict[str, str]) -> HTMLResponse:
    return HTMLResponse(page.substitute(urls, title=escape(request.app.title)), headers=PAGE_HEADERS)
