// Package optimizer serves a search for tools in place of all tools: clients of a
// server with hundreds of them list two, find_tool and call_tool, by the names,
// arguments and results that ToolHive's optimizer has.
//
// It is a target around a target. It owns what the two tools are and say, and an index
// of the tools for each set of them that callers may use. A call_tool is resolved
// into the tool that it calls, before anybody is asked whether it may: policy, audit,
// limits and the inner door see that tool alone.
//
// It does not own who may use what (whoever serves a call says so, see
// [upstream.Rights]), how texts are ranked (internal/search) or what a model makes of
// them (internal/embedding).
package optimizer
