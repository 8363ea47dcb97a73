#!/bin/sh
# Where the package goes, and is not replaced (dpkg says remove, rpm how many are left), the
# gateway ends. What it kept stays in /var/lib/sallyport.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now sallyport.service || true
	fi
	;;
esac
