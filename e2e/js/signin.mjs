// Signs in to a protected server with a client of an official TypeScript SDK that knows its URL alone, and prints what
// came of it as JSON.
//
//	node signin.mjs v1|v2|v1-sse|v2-sse URL
//
// It says on stderr which address to open, and reads from stdin where the browser was sent in the end.

import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';

const browser = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [version, url] = process.argv.slice(2);
const sse = version.endsWith('-sse');
const { Client, Transport, finish } = await ({ v1, v2 })[version.slice(0, 2)]();
const redirect = 'http://127.0.0.1:7/callback';

const kept = {};
const seen = { registrations: 0, opened: 0, saved: 0 };
const provider = {
  redirectUrl: redirect,
  clientMetadata: {
    client_name: `TypeScript ${version}`, redirect_uris: [redirect], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  },
  state: () => { kept.state = randomUUID(); return kept.state; },
  clientInformation: () => kept.client,
  saveClientInformation(client) { kept.client = client; seen.registrations++; },
  tokens: () => kept.tokens,
  saveTokens(tokens) { kept.tokens = tokens; seen.saved++; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier(verifier) { kept.verifier = verifier; },
  discoveryState: () => kept.discovery, // v2
  saveDiscoveryState(state) { kept.discovery = state; },
  redirectToAuthorization(address) {
    seen.opened++;
    process.stderr.write(`open ${address}\n`);
  },
};

const first = new Transport(new URL(url), { authProvider: provider });
const refused = await new Client({ name: 'e2e', version: '1' }).connect(first).then(() => undefined, (err) => err);
if (refused?.constructor.name !== 'UnauthorizedError') throw refused ?? new Error('connected without signing in');
const answer = new URL((await browser.next()).value).searchParams;
if (answer.get('state') !== kept.state) throw new Error('the state is not what was sent');
await finish(first, answer);

const client = new Client({ name: 'e2e', version: '1' });
await client.connect(new Transport(new URL(url), { authProvider: provider }));
seen.tools = (await client.listTools()).tools.length;
seen.prompts = (await client.listPrompts()).prompts.length;
seen.resources = (await client.listResources()).resources.length;

// A token that is no good any more is renewed without anybody being asked.
const before = kept.tokens;
kept.tokens = { ...before, access_token: 'expired' };
seen.again = (await client.listTools()).tools.length;
seen.rotated = kept.tokens.refresh_token !== before.refresh_token && kept.tokens.access_token !== before.access_token;
await client.close();
console.log(JSON.stringify(seen));
process.exit(0);

async function v1() {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
  return { Client, Transport: sse ? SSEClientTransport : StreamableHTTPClientTransport, finish: (transport, answer) => transport.finishAuth(answer.get('code')) };
}

async function v2() {
  const { Client, StreamableHTTPClientTransport, SSEClientTransport } = await import('@modelcontextprotocol/client');
  return { Client, Transport: sse ? SSEClientTransport : StreamableHTTPClientTransport, finish: (transport, answer) => transport.finishAuth(answer) };
}
