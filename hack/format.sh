#!/usr/bin/env bash
# Formats every Go file of the tree.
source "$(dirname "$0")/tools.sh"
cd "$root"
gofumpt=$(tool gofumpt)
"$gofumpt" -l -w .
