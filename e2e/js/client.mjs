// Drives clients of the official TypeScript SDKs through one of everything: reads the jobs of e2e/clients_test.go as JSON
// from stdin, and prints what each client saw.
//
//	node client.mjs < JOBS
//
// A job's client is v1 (revisions with sessions) or v2.

const modern = '2026-07-28';
const patience = 180_000;
const echoed = 'grüße 😀\u2028';
const capabilities = { elicitation: {}, sampling: {}, roots: {} };
const text = (result) => result.content[0].text;

let stdin = '';
for await (const chunk of process.stdin) stdin += chunk;
const columns = Object.values(Object.groupBy(JSON.parse(stdin), (job) => job.column));
const sights = [];
await Promise.all(Array.from({ length: 4 }, async () => {
  for (let jobs; (jobs = columns.shift());) {
    for (const job of jobs) sights.push(await drive(job));
  }
}));
process.stdout.write(JSON.stringify(sights), () => process.exit(0)); // whatever the clients have left open

// drive lets one client try everything.
async function drive(job) {
  const seen = { label: job.label, errors: {} };
  const attempt = async (feature, does) => {
    if (job.skip?.includes(feature) || seen.errors[feature]) return;
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('nothing came')), patience); });
    await Promise.race([does(), late])
      .catch((err) => { seen.errors[feature] = String(err.message ?? err); })
      .finally(() => clearTimeout(timer));
  };
  let run;
  await attempt('connect', async () => {
    run = await (job.client === 'v1' ? v1(job) : v2(job));
    await run.client.connect(run.transport);
    seen.server = run.client.getServerVersion().name;
    seen.instructions = run.client.getInstructions();
    seen.revision = run.client.getNegotiatedProtocolVersion?.() ?? run.negotiated();
  });
  if (seen.errors.connect) return seen;
  const { client, transport, on } = run;
  const call = (tool, args = {}, options = {}, meta) =>
    client.callTool({ name: tool, arguments: args, ...(meta && { _meta: meta }) }, ...(job.client === 'v1' ? [undefined, options] : [options]));

  const arrived = {};
  const arrives = Object.fromEntries(['updated', 'listChanged', 'said']
    .map((what) => [what, new Promise((resolve) => { arrived[what] = resolve; })]));
  on('elicitation/create', () => ({ action: 'accept', content: { name: 'Ada' } }));
  on('sampling/createMessage', () => ({ model: 'm', role: 'assistant', stopReason: 'endTurn', content: { type: 'text', text: 'hm' } }));
  on('roots/list', () => ({ roots: [{ uri: 'file:///home/ada', name: 'home' }] }));
  on('notifications/resources/updated', ({ params }) => arrived.updated(params.uri));
  on('notifications/tools/list_changed', () => arrived.listChanged(true));
  on('notifications/message', ({ params }) => arrived.said(params.data));
  // The SDKs' own handler drops progress that arrives in one read with the result.
  let progressed = (n) => seen.progress.push(n);
  seen.progress = [];
  on('notifications/progress', ({ params }) => progressed(params.progress));

  await attempt('list', async () => {
    seen.tools = (await client.listTools()).tools.map((t) => t.name);
    seen.prompts = (await client.listPrompts()).prompts.map((p) => p.name);
    seen.resources = (await client.listResources()).resources.map((r) => r.uri);
  });
  await attempt('read', async () => { seen.read = (await client.readResource({ uri: 'test://watched' })).contents[0].text; });
  await attempt('prompt', async () => {
    seen.prompt = (await client.getPrompt({ name: 'hello', arguments: { who: 'Ada' } })).messages[0].content.text;
  });
  await attempt('completion', async () => {
    seen.completion = (await client.complete({ ref: { type: 'ref/prompt', name: 'hello' }, argument: { name: 'who', value: '' } })).completion.values;
  });
  await attempt('call', async () => {
    seen.echo = text(await call('echo', { text: echoed }));
    seen.failed = (await call('fail')).isError;
    seen.unknown = await call('no-such-tool').then(() => 0, (err) => err.code);
  });
  await attempt('elicitation', async () => { seen.greet = text(await call('greet')); });
  await attempt('sampling', async () => { seen.think = text(await call('think')); });
  await attempt('roots', async () => { seen.look = text(await call('look')); });
  await attempt('progress', async () => { seen.count = text(await call('count', {}, { onprogress: () => {} })); });
  await attempt('log', async () => {
    if (seen.revision < modern) await client.setLoggingLevel('info');
    await call('say', {}, {}, seen.revision < modern ? undefined : { 'io.modelcontextprotocol/logLevel': 'info' });
    seen.said = await arrives.said;
  });
  let unsubscribe = () => {};
  await attempt('subscription', async () => {
    unsubscribe = await run.subscribe('test://watched');
    await call('touch');
    seen.updated = await arrives.updated;
  });
  await attempt('list change', async () => {
    await call('grow');
    seen.listChanged = await arrives.listChanged;
  });
  await attempt('subscription', async () => { await unsubscribe(); });
  await attempt('cancellation', async () => { // of a call that has reached its tool: it reports progress first
    const controller = new AbortController();
    progressed = () => controller.abort();
    seen.cancelled = await call('wait', { label: job.label }, { signal: controller.signal, onprogress: () => {} })
      .then(() => 'answered', () => 'rejected');
    seen.ended = text(await call('cancelled', { label: job.label }));
  });
  await transport.terminateSession?.().catch(() => {});
  await client.close();
  return seen;
}

async function v1(job) {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
  const types = await import('@modelcontextprotocol/sdk/types.js');
  const schemas = {
    'elicitation/create': types.ElicitRequestSchema,
    'sampling/createMessage': types.CreateMessageRequestSchema,
    'roots/list': types.ListRootsRequestSchema,
    'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
    'notifications/tools/list_changed': types.ToolListChangedNotificationSchema,
    'notifications/progress': types.ProgressNotificationSchema,
    'notifications/message': types.LoggingMessageNotificationSchema,
  };
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities });
  const Transport = job.transport === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
  const transport = new Transport(new URL(job.url));
  return {
    client, transport, negotiated: asking(transport, job.revision),
    on: handlers(client, (method) => schemas[method]),
    subscribe: subscribeWithSession(client),
  };
}

async function v2(job) {
  const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await import('@modelcontextprotocol/client');
  const mode = job.revision >= modern ? 'auto' : 'legacy';
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities, versionNegotiation: { mode, probe: { timeoutMs: patience } } });
  const Transport = job.transport === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
  const transport = new Transport(new URL(job.url));
  return {
    client, transport, negotiated: asking(transport, job.revision),
    on: handlers(client, (method) => method),
    subscribe: async (uri) => {
      if (client.getProtocolEra() !== 'modern') return subscribeWithSession(client)(uri);
      const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
      return () => subscription.close();
    },
  };
}

// asking has initialize ask for a revision: the clients ask for the newest that they know. It returns what tells which
// one the server answered with.
function asking(transport, revision) {
  const send = transport.send.bind(transport);
  let version = '';
  const set = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (v) => { version = v; set?.(v); };
  transport.send = (message, options) => {
    if (message.method === 'initialize') message.params.protocolVersion = revision;
    return send(message, options);
  };
  return () => version;
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
