"""The pages about the API work without the internet and ask nobody outside."""

import re
from collections.abc import AsyncIterator
from hashlib import sha256
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI

from telefonist.doors import documentation
from telefonist.doors.errors import install_error_handlers
from telefonist.doors.middleware import RequestMiddleware
from tests.doors.conftest import Serve

VENDORED = documentation.ASSETS / "VENDORED.md"


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(title="Tea & <Biscuits>", openapi_url=None, docs_url=None, redoc_url=None)
    install_error_handlers(app)
    app.include_router(documentation.router())

    @app.get("/tea", summary="Drink tea")
    async def tea() -> str:
        return "tea"

    async with httpx.AsyncClient(base_url=await serve(RequestMiddleware(app, body_limit=100))) as client:
        yield client


def links(page: str) -> list[str]:
    return re.findall(r"""(?:src|href|spec-url)="([^"]*)\"""", page)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_and_all_that_it_loads_come_from_here(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"https?:|//", page.text)
    assert "<title>Tea &amp; &lt;Biscuits&gt;</title>" in page.text
    loaded = [link for link in links(page.text) if link != "data:,"]
    assert len(loaded) >= 3
    for link in loaded:
        assert not link.startswith("/")  # relative, for a proxy's path prefix
        response = await client.get(urljoin(path, link))
        assert response.status_code == 200, link


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_no_script_is_written_into_a_page_so_that_a_strict_policy_holds(
    client: httpx.AsyncClient, path: str
) -> None:
    page = await client.get(path)
    assert set(re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.DOTALL)) == {""}
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page.text)
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "http" not in page.headers["content-security-policy"]


async def test_assets_are_kept_for_ever_under_an_address_of_their_content(client: httpx.AsyncClient) -> None:
    link = next(link for link in links((await client.get("/docs")).text) if link.endswith("swagger-ui.css"))
    response = await client.get(f"/{link}")
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert sha256(response.content).hexdigest().startswith(link.split("/")[-2])


@pytest.mark.parametrize(
    "path",
    ["/docs/assets/0000000000000000/swagger-ui.css", "/docs/assets/x/VENDORED.md", "/docs/assets/x/..%2F..%2Fauth.py"],
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_styles_load_nothing_from_outside() -> None:
    for path in documentation.ASSETS.glob("*/*.css"):
        sources = re.findall(r"""url\(["']?([^"')]{0,40})|@import\s+(\S+)""", path.read_text())
        assert all(url.startswith("data:") for url, _ in sources)
        assert not any(imported for _, imported in sources)


async def test_scripts_name_no_image_font_or_service_outside() -> None:
    redoc = (documentation.ASSETS / "redoc" / "redoc.standalone.js").read_text()
    assert not re.search(r"""(?:src|srcset|href):"https?://(?!redocly\.com/redoc/)""", redoc)
    assert not re.search(r"cdn\.|fonts\.g", redoc)
    own = (documentation.ASSETS / "pages" / "docs.js").read_text()
    assert "validatorUrl: null" in own
    assert not re.search(r"https?://", own)


async def test_the_description_lists_the_api_and_not_these_pages(client: httpx.AsyncClient) -> None:
    response = await client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["openapi"].startswith("3.")
    assert list(response.json()["paths"]) == ["/tea"]


def test_the_files_of_others_are_those_on_record_with_their_licences() -> None:
    recorded = dict(line.split()[::-1] for line in VENDORED.read_text().splitlines() if line.startswith("    "))
    present = {path for path in documentation.ASSETS.glob("*/*") if path.parent.name != "pages"}
    assert {str(path.relative_to(documentation.ASSETS)) for path in present} == set(recorded)
    for path in present:
        assert sha256(path.read_bytes()).hexdigest() == recorded[str(path.relative_to(documentation.ASSETS))]
    assert {path.parent.name for path in present if path.name == "LICENSE"} == {"swagger-ui-dist", "redoc"}
