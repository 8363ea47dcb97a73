// Package internet plays the part of the internet that the files of examples/providers speak of: Okta, Auth0, Keycloak,
// Entra ID, Google and GitHub by their own addresses, with the claims, endpoints and oddities that each of them documents,
// and the server behind the gateway. So a test uses the very same files, in which nothing is changed.
//
// A process reaches them by HTTPS_PROXY and trusts their certificates by SSL_CERT_FILE; [Net.Env] is both.
//
// They know one person at a time, who signs in without being asked. They insist on what the real ones insist on, and
// write down what they were asked in another way.
package internet
