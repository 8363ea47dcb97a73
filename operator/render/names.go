package render

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The labels of everything that is made. Those of pods select them too, so they are few
// and never from a manifest.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	ManagedBy      = "sallyport"
)

// The most that names may have, by what the objects' kinds admit.
const (
	longestName     = 63 // of a Service, and of a label's value
	longestWorkload = 52 // of what makes pods, which add to it
	longestFile     = 200
)

// suffix tells the objects of one kind from those of another kind with the same name.
// None is the end of another.
func suffix(kind string) string {
	switch kind {
	case "MCPRemoteProxy":
		return "-proxy"
	case "VirtualMCPServer":
		return "-virtual"
	case "MCPGateway":
		return "-shared"
	}
	return "-gateway"
}

// GatewayName is the name of what is made for the gateway of a resource.
func GatewayName(kind, name string) string {
	return fit(serviceName(name), suffix(kind), longestWorkload)
}

// ServerName is the name of what is made for the server of an MCPServer itself.
func ServerName(name string) string { return fit(serviceName(name), "-mcp", longestWorkload) }

// ServerPodsName is the name of the Service that leads to each pod of an MCPServer's own.
func ServerPodsName(name string) string { return fit(serviceName(name), "-pods", longestName) }

// FileOf is what the file of a resource is called in a ConfigMap, without what it ends with.
func FileOf(kind, name string) string { return fit(strings.ToLower(kind)+"."+name, "", longestFile) }

// fit is a name with a suffix, cut with a hash of the whole where it would have too many characters.
func fit(name, suffix string, most int) string {
	if len(name)+len(suffix) <= most {
		return name + suffix
	}
	hash := "-" + shortHash(name)
	return strings.TrimRight(name[:most-len(suffix)-len(hash)], "-.") + hash + suffix
}

// serviceName is a name as part of a Service's, which begins with a letter (RFC 1035).
// Where that changes it there is a hash, so that it is nobody else's.
func serviceName(name string) string {
	if name == "" || name[0] > '9' {
		return name
	}
	return "s-" + name + "-" + shortHash(name)
}

func shortHash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:5])
}
