// Package policy decides what a caller may do, by Cedar policies (REQ B-21).
//
// It owns the vocabulary of the policies, which is ToolHive's, so that policies
// written for it load unchanged:
//
//   - The principal is Client::"SUBJECT", the anonymous caller Client::"anonymous".
//     It has the attributes claim_NAME, and the caller's groups and roles as parents
//     THVGroup::"NAME" (the type can be another).
//   - The actions are call_tool on Tool::"NAME", get_prompt on Prompt::"NAME",
//     read_resource on Resource::"URI", and list_tools, list_prompts and
//     list_resources on FeatureType::"tool", "prompt" and "resource". Each thing is
//     in MCP::"SERVER"; tools have their annotations (readOnlyHint, destructiveHint,
//     idempotentHint, openWorldHint) where the server gives them.
//   - The context has claim_NAME for each claim, claimset_NAME for a claim that is
//     text with blanks or a list, as a set; arg_NAME for each argument that is text,
//     a number or a boolean, and arg_NAME_present for others; server and backend; and
//     source and issuer, which tell by which door the caller came.
//     Integers are Long, other numbers decimal; numbers that are neither, for their
//     size, are String, so that comparing them fails and never passes unnoticed.
//
// Its rules, where Cedar leaves them to the application:
//
//   - What no policy permits is denied, and so is every method that is not known
//     (see [NeedOf]).
//   - A policy that cannot be evaluated never helps the caller: a permit that fails
//     does not permit, a forbid that fails forbids.
//   - A list needs no permit: it shows what the caller may use, item by item, by the
//     same decision as the use itself. A forbid of list_tools and the like refuses
//     the list. Where arguments decide, the list shows what some arguments permit.
//   - A resource's URI that a server may read as another one is permitted by nothing.
//   - In shadow mode nothing is denied; decisions say what would have been.
//
// It does not own where policies come from, who the caller is, what a message
// says on the wire, or how a denial reaches anybody. It does no I/O, and is the
// only importer of cedar-go.
package policy
