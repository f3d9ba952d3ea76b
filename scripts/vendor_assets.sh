#!/bin/sh
# Refresh the files of Swagger UI and ReDoc under telefonist/doors/assets from their npm packages, at the versions below.
# Needs npm and the network; run it from anywhere, then look at the difference and commit it.
set -eu

SWAGGER_UI=5.35.0
REDOC=2.5.4 # the 3.x line sends telemetry and fetches icons from outside

assets="$(cd "$(dirname "$0")/.." && pwd)/telefonist/doors/assets"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"

fetch() { # name version files...: copy files of a package into its folder
    name=$1 version=$2
    shift 2
    npm pack --silent "$name@$version" >/dev/null
    tar -xzf "$name-$version.tgz"
    rm -rf "${assets:?}/$name"
    mkdir -p "$assets/$name"
    for file in "$@"; do cp "package/$file" "$assets/$name/"; done
    rm -rf package
}

digest() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

fetch swagger-ui-dist "$SWAGGER_UI" \
    swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css LICENSE NOTICE
fetch redoc "$REDOC" bundles/redoc.standalone.js bundles/redoc.standalone.js.LICENSE.txt LICENSE

# ReDoc shows its maker's logo from outside; without an image it leaves the place empty.
logo='https://cdn.redoc.ly/redoc/logo-mini.svg'
bundle="$assets/redoc/redoc.standalone.js"
grep -q "$logo" "$bundle" || { echo "The logo's address in ReDoc has changed: look for it by hand." >&2; exit 1; }
sed "s|$logo|data:,|" "$bundle" >patched
cp patched "$bundle"

{
    cat <<EOF
# Files of others, served by /docs and /redoc

Written by \`scripts/vendor_assets.sh\`; do not edit the files by hand.

| npm package | version | licence | changed by us |
|---|---|---|---|
| swagger-ui-dist | $SWAGGER_UI | Apache-2.0 | nothing |
| redoc | $REDOC | MIT | the address of its maker's logo is replaced by \`data:,\`, so that the page asks nobody outside |

SHA-256 of each file:

EOF
    cd "$assets"
    for file in swagger-ui-dist/* redoc/*; do echo "    $(digest "$file")  $file"; done
} >"$assets/VENDORED.md"
