# Sourced by the other scripts: where the tools of the tests live and how they get there.
#
# Everything is installed outside the tree, into $SALLYPORT_CACHE, in folders named by what they were made from: a changed
# lock file or another Go makes a new folder, a missing one is made again, and a half-made one is never seen.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${SALLYPORT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sallyport}
mkdir -p "$cache/bin"

# step TEXT: says on stderr what is being done, and how long after the first script began.
export SALLYPORT_BEGAN=${SALLYPORT_BEGAN:-$(date +%s)}
step() { printf '==> [%3ds] %s\n' "$(($(date +%s) - SALLYPORT_BEGAN))" "$*" >&2; }

# key FILE...: a short name for the contents of the files.
key() { cat "$@" | sha256sum | cut -c1-12; }

# tool NAME: prints the path of the program of the module tools/NAME, built by this machine's Go.
tool() {
	local dir=$root/tools/$1 out
	out=$cache/bin/$1-$(key "$dir/go.mod" "$dir/go.sum" <(go version))
	if [ ! -x "$out" ]; then
		step "building $1 into $cache"
		(cd "$dir" && go build -o "$out.$$" tool) && mv "$out.$$" "$out"
	fi
	echo "$out"
}

# js: prints the folder whose node_modules holds what e2e/js/package-lock.json names: the conformance suite, the TypeScript SDKs, Node.
js() {
	local dir
	dir=$cache/js-$(key "$root/e2e/js/package.json" "$root/e2e/js/package-lock.json")
	if [ ! -d "$dir" ]; then
		step "installing the npm packages of e2e/js into $cache"
		mkdir "$dir.$$"
		cp "$root/e2e/js/package.json" "$root/e2e/js/package-lock.json" "$dir.$$"
		# The Node that runs npm is older than what the packages want; the one that runs them comes with them.
		npm ci --prefix "$dir.$$" --ignore-scripts --no-audit --no-fund --engine-strict=false --loglevel=error >&2
		mv "$dir.$$" "$dir" 2>/dev/null || rm -rf "$dir.$$" # another run was faster
	fi
	echo "$dir"
}

# debian COMMAND PACKAGES: installs the Debian packages that have a command we need, when it is missing and we may.
debian() {
	if command -v "$1" >/dev/null; then return; fi
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "$0: $1 is missing: install it (Debian: apt-get install $2)" >&2
		return 1
	fi
	step "installing $2"
	DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null >/dev/null
	# shellcheck disable=SC2086 # several packages
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $2 </dev/null >/dev/null
}

# e2e_tools: installs what the end-to-end tests need and tells them where it is.
e2e_tools() {
	debian gcc gcc # the race detector needs cgo
	debian npm npm
	debian nginx nginx # proxies before the gateway
	debian redis-server redis-server # state that replicas share
	debian chromium chromium # a real browser for the pages that people see
	debian chromedriver chromium-driver
	debian apache2 "apache2-bin libapache2-mod-auth-openidc"
	SALLYPORT_TEST_JS=$(js)
	SALLYPORT_TEST_EVERYTHING=$(tool everything-server)
	export SALLYPORT_TEST_JS SALLYPORT_TEST_EVERYTHING
	export SALLYPORT_TEST_FULL=1 # a missing part is a failure from here on, not a skipped test
}
