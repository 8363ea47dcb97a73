// Package plan says what manifests mean to a gateway, before any of it is made.
//
// It owns the way from resources, Secrets and ConfigMaps to a [Plan]: plain data with
// every reference resolved, every default filled in, and what is wrong with it as lists
// of problems and warnings. What all serving kinds share is planned in one place
// ([planner.serve]), and nothing else makes an [Endpoint]. Secrets in a Plan
// are of type secret.Value, which no way of printing shows.
//
// It notes what each part rests on (manifest.View), which gives the keys and
// fingerprints by which a new configuration finds what is running already.
//
// It does not own the schema's rules (manifest/strict) and the words in which a plan is
// told (text), and it makes nothing: no
// connection, no file, no pool, no handler (internal/compile). It may import the API
// types, manifest, policy, and small packages of values.
package plan
