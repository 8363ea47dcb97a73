#!/usr/bin/env bash
# The documentation as a site, in the folder that is named (site if none is): for any web server, or none.
source "$(dirname "$0")/tools.sh"
out=$(realpath -m "${1:-site}")
cd "$root"

# mermaid: what draws the diagrams in a browser. The package is known by its contents.
mermaid() {
	local version=11.17.2 want=V6K3C8EBdEsPFZXSKMJe6ppQOENxuHARr9GvHX4hh47lAbhMRD9qf4oEK7LoaRQxULMa80/qt5gHO73aCleBBg== dir
	dir=$cache/mermaid-$version
	if [ ! -d "$dir" ]; then
		step "fetching mermaid $version into $cache"
		mkdir -p "$dir.$$"
		(cd "$dir.$$" && npm pack --silent "mermaid@$version" >/dev/null)
		if [ "$(openssl dgst -sha512 -binary "$dir.$$/mermaid-$version.tgz" | base64 -w0)" != "$want" ]; then
			echo "mermaid $version is not the package that it was" >&2
			exit 1
		fi
		tar -xzf "$dir.$$/mermaid-$version.tgz" -C "$dir.$$" --strip-components=2 package/dist/mermaid.min.js
		rm "$dir.$$/mermaid-$version.tgz"
		mv "$dir.$$" "$dir"
	fi
	echo "$dir/mermaid.min.js"
}

diagrams=$(mermaid)
(cd tools/site && go run . -root "$root" -out "$out" -mermaid "$diagrams")
echo "$out/index.html"
