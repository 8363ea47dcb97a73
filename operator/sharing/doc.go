// Package sharing keeps what resources bring to a gateway that they share (an MCPGateway):
// the manifests of each as they were when they were good last, what two of them would take
// from each other, who is on its way out, and how long a change of the pods waits for more.
//
// It does not own what is made of it (operator/render, operator), and reads and writes
// nothing in a cluster.
package sharing
