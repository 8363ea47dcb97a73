#!/usr/bin/env bash
# The tests that need a real node, where pods are containers and Services lead to them: those with the build tag node. As root,
# on Linux, with Debian's packages to unpack; nothing is installed. Arguments go to the test: hack/node.sh -test.run TestNode
#
# The test has a network, mounts and process numbers of its own: bridges, rules and containers end with it.
source "$(dirname "$0")/tools.sh"
cd "$root"
if [ "$(id -u)" != 0 ]; then
	echo "hack/node.sh: containers are started, which only root may" >&2
	exit 1
fi
modules
SALLYPORT_TEST_KUBE=$(kube)
SALLYPORT_TEST_NODE=$(node)
SALLYPORT_TEST_NODE_ADDRESS=192.168.77.1
work=$(mktemp -d)
SALLYPORT_TEST_IMAGES=$work
export SALLYPORT_TEST_KUBE SALLYPORT_TEST_NODE SALLYPORT_TEST_NODE_ADDRESS SALLYPORT_TEST_IMAGES
trap 'rm -rf "$work"; find /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods -depth -type d -exec rmdir {} + 2>/dev/null || true' EXIT
step "building the programs of the images"
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/" ./cmd/sallyport ./cmd/sallyportd ./examples/server ./internal/testkit/kube/pause
step "go test -tags cluster,load,node"
go test -c -vet=off -tags cluster,load,node -o "$work/node.test" ./e2e/cluster
# The shell stays, as the first process, for the children of those who have ended.
# shellcheck disable=SC2016 # expanded there
unshare --net --mount --pid --fork --kill-child --mount-proc bash -c '
	ip link set lo up
	ip link add node0 type bridge && ip addr add "$SALLYPORT_TEST_NODE_ADDRESS/24" dev node0 && ip link set node0 up && ip route add default dev node0
	sysctl -qw net.ipv4.ip_forward=1
	cd e2e/cluster
	"$0" -test.run TestNode -test.v -test.timeout 30m "$@"
	exit $?' "$work/node.test" "$@"
