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

# retry COMMAND...: runs what asks the network for something, and again where that does not answer.
retry() {
	local pause
	for pause in 2 10 30; do
		"$@" && return
		step "this failed, and is tried again in $pause s: $*"
		sleep "$pause"
	done
	"$@"
}

# modules [FOLDER]: has the Go modules of the tree, or of a tool, here before anything is built of them.
modules() { (cd "$root/${1-}" && retry go mod download); }

# key FILE...: a short name for the contents of the files.
key() { cat "$@" | sha256sum | cut -c1-12; }

# tool NAME: prints the path of the program of the module tools/NAME, built by this machine's Go.
tool() {
	local dir=$root/tools/$1 out
	out=$cache/bin/$1-$(key "$dir"/go.* $(find "$dir" -name '*.go') <(go version))
	if [ ! -x "$out" ]; then
		step "building $1 into $cache"
		(cd "$dir" && retry go build -o "$out.$$" tool) && mv "$out.$$" "$out"
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
		retry npm ci --prefix "$dir.$$" --ignore-scripts --no-audit --no-fund --engine-strict=false --loglevel=error >&2
		mv "$dir.$$" "$dir" 2>/dev/null || rm -rf "$dir.$$" # another run was faster
	fi
	echo "$dir"
}

# debian COMMAND=PACKAGES...: installs the Debian packages whose command is missing, all at once, where we may. Where we
# may not it says what is missing: the tests that need it are skipped, and say so.
debian() {
	local wish packages=""
	PATH=$PATH:/usr/sbin # nginx and Apache, which are not on every user's PATH
	for wish in "$@"; do
		command -v "${wish%%=*}" >/dev/null || packages+=" ${wish#*=}"
	done
	if [ -z "$packages" ]; then return; fi
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "missing: Debian's$packages" >&2
		return
	fi
	step "installing$packages"
	# shellcheck disable=SC2086 # several packages
	retry install_debian $packages
}

# install_debian PACKAGES...: with lists that are of today, once whoever else is installing has finished.
install_debian() {
	local get=(apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
	export DEBIAN_FRONTEND=noninteractive
	"${get[@]}" update </dev/null >/dev/null && "${get[@]}" install -y --no-install-recommends "$@" </dev/null >/dev/null
}

# compiler: the race detector needs cgo, and a Go that finds a C compiler later compiles everything again.
compiler() { debian gcc=gcc; }

# e2e_tools: installs what the end-to-end tests need and tells them where it is.
e2e_tools() {
	compiler
	# Proxies before the gateway, state that replicas share, a real browser for the pages that people see.
	debian npm=npm nginx=nginx redis-server=redis-server chromium=chromium chromedriver=chromium-driver openssl=openssl \
		"apache2=apache2-bin libapache2-mod-auth-openidc"
	SALLYPORT_TEST_JS=$(js)
	SALLYPORT_TEST_EVERYTHING=$(tool everything-server)
	SALLYPORT_TEST_MCPGO=$(tool mcp-go-client)
	SALLYPORT_TEST_OAUTH2PROXY=$(tool oauth2-proxy)
	export SALLYPORT_TEST_JS SALLYPORT_TEST_EVERYTHING SALLYPORT_TEST_MCPGO SALLYPORT_TEST_OAUTH2PROXY
}

# kubernetes NAME: builds the programs of tools/NAME, which are of Kubernetes, into a folder of the cache and prints it. The
# first time takes long, and goes on where a run before was stopped.
kubernetes() {
	local dir=$root/tools/$1 out version flags
	out=$cache/$1-$(key "$dir/go.mod" "$dir/go.sum" <(go version))
	if [ ! -d "$out" ]; then
		step "building the programs of tools/$1 into $cache"
		version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$dir/go.mod")
		# A server that calls itself v0.0.0 takes no CustomResourceDefinitions of today.
		flags="-s -w -X k8s.io/component-base/version.gitVersion=$version"
		flags+=" -X k8s.io/component-base/version.gitMajor=$(cut -d. -f1 <<<"${version#v}") -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
		(cd "$dir" && CGO_ENABLED=0 retry nice -n "${NICE:-0}" go build -ldflags "$flags" -o "$out.$$/" tool) || return 1
		if [ -e "$out.$$/server" ]; then mv "$out.$$/server" "$out.$$/etcd" || return 1; fi # the package's path ends in server/v3
		if [ -d "$out" ]; then rm -rf "$out.$$"; else mv "$out.$$" "$out"; fi # another run may have been faster
	fi
	echo "$out"
}

# kube: prints the folder of a control plane: etcd, the API server, the controller manager, kubectl and Helm.
kube() { kubernetes kube; }

# node: prints the folder of a real node: kubelet, kube-proxy, a scheduler, and in root Debian's containerd, runc and what they
# need, which is not installed.
node() {
	local out
	out=$(kubernetes node)
	if [ ! -d "$out/root" ]; then
		step "unpacking containerd into $cache"
		mkdir -p "$out/debs"
		(cd "$out/debs" && retry apt-get -qq update </dev/null >&2 && retry apt-get -qq download containerd runc containernetworking-plugins \
			iptables nftables conntrack libip6tc2 libip4tc2 libxtables12 libnetfilter-conntrack3 libnfnetlink0 libnftables1 libnftnl11 >&2 2>/dev/null) || return 1
		local deb name
		for deb in "$out"/debs/*.deb; do dpkg -x "$deb" "$out/root.$$" || return 1; done
		for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
			ln -sf xtables-nft-multi "$out/root.$$/usr/sbin/$name"
		done
		if [ -d "$out/root" ]; then rm -rf "$out/root.$$"; else mv "$out/root.$$" "$out/root"; fi
	fi
	echo "$out"
}
