#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Build the InfluxDB server that go.mod names and print the path of the binary.
# Progress goes to standard error, the path alone to standard output. A binary
# already in the cache is printed at once; two builds at a time wait for each other.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
module=github.com/influxdata/influxdb/v2
pkg_config=github.com/influxdata/pkg-config@v0.2.14  # builds flux's Rust library for cgo

say() { printf 'influxd: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

version=$(sed -n "s|^require $module v||p" "$here/go.mod")
[ -n "$version" ] || die "go.mod does not require $module"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tirta/influxd-$version
binary=$cache/influxd

deliver() { printf '%s\n' "$binary"; exit 0; }
[ -x "$binary" ] && deliver

packages=
have clang || packages="$packages clang"
have protoc || packages="$packages protobuf-compiler"
have pkg-config || packages="$packages pkg-config"
have flock || packages="$packages util-linux"
if [ -n "$packages" ] && [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && have apt-get; then
    say "installing$packages"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } >&2
    packages=
fi
[ -z "$packages" ] || die "missing programs; run: sudo apt-get install$packages"
have go || die "Go is missing; install Go 1.26 or later from https://go.dev/dl/"
have rustup || die "rustup is missing; install it from https://rustup.rs"
go_minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ "${go_minor:-0}" -ge 26 ] || die "Go 1.26 or later is needed, $(go env GOVERSION) was found"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "another build is running, waiting for it"; flock 9; }
[ -x "$binary" ] && deliver

work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
started=$(date +%s)

# The real pkg-config must still be found behind the one that wraps it.
mkdir "$work/bin"
say "1/3 fetching modules"
(cd "$here" && GOTOOLCHAIN=local go mod download && GOBIN="$work/bin" go install "$pkg_config") >&2

# flux denies warnings that newer compilers have more of, and RUSTFLAGS does not
# reach its build scripts: the wrapper does.
cat >"$work/bin/rustc-lenient" <<'WRAPPER'
#!/bin/sh
exec "$@" --cap-lints warn
WRAPPER
chmod +x "$work/bin/rustc-lenient"

say "2/3 compiling influxd $version (5 to 10 minutes on two cores)"
(
    cd "$here"
    export GOTOOLCHAIN=local CGO_ENABLED=1
    export PKG_CONFIG="$work/bin/pkg-config"
    export RUSTUP_TOOLCHAIN=stable  # flux asks for an old one by name
    export RUSTC_WORKSPACE_WRAPPER="$work/bin/rustc-lenient"
    go build -trimpath -ldflags="-s -w -X main.version=$version" \
        -tags 'sqlite_foreign_keys,sqlite_json' -o "$work/influxd" "$module/cmd/influxd"
) >&2

say "3/3 checking the binary"
"$work/influxd" version >&2
mv "$work/influxd" "$binary"
say "built in $(($(date +%s) - started)) s: $binary"
deliver
