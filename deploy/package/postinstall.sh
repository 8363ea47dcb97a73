#!/bin/sh
# systemd reads a unit that is new or another; a gateway that runs goes on with the new
# program. One that does not run is not started.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart sallyport.service
fi
