// Drives a client of an official TypeScript SDK through one of everything and prints what it saw as JSON.
//
//	node client.mjs CLIENT URL
//
// CLIENT: v1-http, v1-sse (revisions with sessions), v2-legacy, v2-sse, v2-auto (asks which), v2-pin (2026-07-28 only).

import { createInterface } from 'node:readline';

const cues = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [name, url] = process.argv.slice(2);
const { client, transport, on, subscribe } = await (name.startsWith('v1') ? v1() : v2());
const seen = {};
const arrived = {}; // notification → promise of its params
let resolveArrived = {};
for (const what of ['resources/updated', 'tools/list_changed']) {
  arrived[what] = new Promise((resolve) => { resolveArrived[what] = resolve; });
}

on('elicitation/create', () => ({ action: 'accept', content: { name: 'Ada' } }));
on('sampling/createMessage', () => ({ model: 'm', role: 'assistant', stopReason: 'endTurn', content: { type: 'text', text: 'hm' } }));
on('notifications/resources/updated', ({ params }) => resolveArrived['resources/updated'](params.uri));
on('notifications/tools/list_changed', () => resolveArrived['tools/list_changed'](true));

await client.connect(transport);
seen.server = client.getServerVersion().name;
seen.instructions = client.getInstructions();
seen.revision = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? transport._protocolVersion;

seen.tools = (await client.listTools()).tools.map((t) => t.name).sort();
seen.prompts = (await client.listPrompts()).prompts.map((p) => p.name);
seen.resources = (await client.listResources()).resources.map((r) => r.uri);
seen.prompt = (await client.getPrompt({ name: 'hello', arguments: { who: 'Ada' } })).messages[0].content.text;
seen.read = (await client.readResource({ uri: 'test://watched' })).contents[0].text;
seen.completion = (await client.complete({ ref: { type: 'ref/prompt', name: 'hello' }, argument: { name: 'who', value: '' } })).completion.values;

seen.echo = await call('echo', { text: 'grüße 😀\u2028' });
seen.failed = (await client.callTool({ name: 'fail', arguments: {} })).isError;
seen.unknown = await client.callTool({ name: 'no-such-tool', arguments: {} }).then(() => 'accepted', (err) => err.code);
seen.greet = await call('greet');
seen.think = await call('think');

const progress = [];
seen.count = await call('count', {}, { onprogress: (p) => progress.push(p.progress) });
seen.progress = progress;

const unsubscribe = await subscribe('test://watched');
await call('touch');
seen.updated = await within(arrived['resources/updated'], 'notifications/resources/updated');
await call('grow');
seen.listChanged = await within(arrived['tools/list_changed'], 'notifications/tools/list_changed');
await unsubscribe();

const controller = new AbortController();
const waiting = client.callTool({ name: 'wait', arguments: {} }, ...callOptions({ signal: controller.signal }))
  .then(() => 'answered', () => 'rejected');
await cue('calling wait'); // given when the call has reached the backend
controller.abort();
await cue('cancelling'); // given when the cancellation has
seen.cancelled = await waiting;

await transport.terminateSession?.();
await client.close();
console.log(JSON.stringify(seen));
process.exit(0);

async function call(tool, args = {}, options = {}) {
  const result = await client.callTool({ name: tool, arguments: args }, ...callOptions(options));
  return result.content[0].text;
}

// callOptions: v1 takes a result schema before them.
function callOptions(options) {
  return name.startsWith('v1') ? [undefined, options] : [options];
}

// cue says what is going on and waits until the test writes a line.
function cue(what) {
  process.stderr.write(`${what}\n`);
  return cues.next();
}

function within(promise, what, ms = 10_000) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what} did not come`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function v1() {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
  const types = await import('@modelcontextprotocol/sdk/types.js');
  const schemas = {
    'elicitation/create': types.ElicitRequestSchema,
    'sampling/createMessage': types.CreateMessageRequestSchema,
    'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
    'notifications/tools/list_changed': types.ToolListChangedNotificationSchema,
  };
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities: { elicitation: {}, sampling: {} } });
  const Transport = name === 'v1-sse' ? SSEClientTransport : StreamableHTTPClientTransport;
  return {
    client,
    transport: new Transport(new URL(url)),
    on: handlers(client, (method) => schemas[method]),
    subscribe: subscribeWithSession(client),
  };
}

async function v2() {
  const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await import('@modelcontextprotocol/client');
  const mode = { 'v2-auto': 'auto', 'v2-pin': { pin: '2026-07-28' } }[name] ?? 'legacy';
  const client = new Client({ name: 'e2e', version: '1' }, {
    capabilities: { elicitation: {}, sampling: {} },
    versionNegotiation: { mode },
  });
  const Transport = name === 'v2-sse' ? SSEClientTransport : StreamableHTTPClientTransport;
  return {
    client,
    transport: new Transport(new URL(url)),
    on: handlers(client, (method) => method),
    subscribe: async (uri) => {
      if (client.getProtocolEra() !== 'modern') return subscribeWithSession(client)(uri);
      const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
      return () => subscription.close();
    },
  };
}

function handlers(client, key) {
  return (method, handler) => {
    const set = method.startsWith('notifications/') ? 'setNotificationHandler' : 'setRequestHandler';
    client[set](key(method), async (request) => handler(request));
  };
}

function subscribeWithSession(client) {
  const [subscribe, unsubscribe] = client.subscribeResource
    ? ['subscribeResource', 'unsubscribeResource'] : ['subscribe', 'unsubscribe'];
  return async (uri) => {
    await client[subscribe]({ uri });
    return () => client[unsubscribe]({ uri });
  };
}
