#!/usr/bin/env bash
# Installs what the end-to-end tests need, as hack/test.sh does first: for whoever has something else to do meanwhile.
source "$(dirname "$0")/tools.sh"
e2e_tools
