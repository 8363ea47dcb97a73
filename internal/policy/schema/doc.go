// Package schema is what policies can talk about: the actions, the types of
// entities, and the attributes of each (see package policy, which it is a part of).
//
// It owns that vocabulary as tables, as a Cedar schema, and the check of a policy
// against it: one that can never match, because of a name that nothing has or a
// comparison that never holds, is found when it is loaded and not when it is missed
// (REQ B-21). It decides nothing, and does not own how policies are read or where
// in their text something stands.
package schema
