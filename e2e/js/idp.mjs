// An OpenID provider on loopback: node idp.mjs PORT (0 for a free one) [OPTIONS]. Prints its issuer when it serves.
// Options: accessTTL, in seconds, is how long access tokens last that people get by signing in; skew, in seconds, is what
// its clock is ahead of others; loginPage lets people press a button to sign in.
//
// It exchanges its own tokens for ones of the wanted audience (RFC 8693), which live ttl=N seconds, if the audience's query
// says so. Everybody may register, and signs in as the login_hint. What a token for a resource shall be like stands in the
// resource's query, which is no part of the audience: sub, groups, ttl (in seconds, below zero for one that has expired),
// format=opaque.
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessToken = 'urn:ietf:params:oauth:token-type:access_token';
const scopes = 'mcp:read mcp:write';
const wish = (resource, name) => new URL(resource).searchParams.get(name);
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }); // another one at each start

const options = JSON.parse(process.argv[3] ?? '{}');
if (options.skew) {
  const now = Date.now.bind(Date);
  Date.now = () => now() + options.skew * 1000;
}

const configuration = {
  jwks: { keys: [{ ...key, alg: 'RS256', use: 'sig' }] },
  clients: [
    { client_id: 'robot', client_secret: 'robot-secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: scopes },
    { client_id: 'gateway', client_secret: 'gateway-secret', grant_types: [exchange], redirect_uris: [], response_types: [] },
  ],
  scopes: ['openid', 'offline_access', ...scopes.split(' ')],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  rotateRefreshToken: true, // and a refresh token that is used twice ends the grant
  ...(options.accessTTL && { ttl: { AccessToken: options.accessTTL } }),
  cookies: { keys: ['loopback'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: scopes,
        audience: resource.split('?')[0],
        accessTokenFormat: wish(resource, 'format') ?? 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims(ctx) {
    const resource = ctx.oidc.params.resource;
    if (!resource) return undefined;
    const claims = { groups: wish(resource, 'groups')?.split(',') };
    if (wish(resource, 'sub')) claims.sub = wish(resource, 'sub');
    return claims;
  },
  formats: {
    customizers: {
      jwt(ctx, token, jwt) {
        const resource = ctx.oidc.params.resource;
        if (resource && wish(resource, 'sub')) jwt.payload.sub = wish(resource, 'sub');
        if (resource && wish(resource, 'ttl')) jwt.payload.exp = jwt.payload.iat + Number(wish(resource, 'ttl'));
      },
    },
  },
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId, email: `${accountId}@example.com`, email_verified: true, name: `The ${accountId}`, groups: ['staff'] }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  async loadExistingGrant(ctx) { // everybody consents to everything
    const { provider, client, session, resourceServers = {} } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(`openid offline_access email profile groups ${scopes}`);
    for (const resource of Object.keys(resourceServers)) grant.addResourceScope(resource, scopes);
    await grant.save();
    return grant;
  },
};

// exchangeToken gives a token for the audience to whoever has one of ours that has not expired.
async function exchangeToken(ctx) {
  const { provider, client, params } = ctx.oidc;
  const [head, payload, signature] = params.subject_token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  const ours = verify('RSA-SHA256', Buffer.from(`${head}.${payload}`), createPublicKey({ key, format: 'jwk' }), Buffer.from(signature, 'base64url'));
  if (!ours || claims.exp * 1000 <= Date.now()) throw new errors.InvalidGrant(`the subject token ${params.subject_token} is no good`);
  const info = { scope: scopes, audience: params.audience.split('?')[0], accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
  const token = new provider.AccessToken({ client, accountId: claims.sub, scope: params.scope, gty: 'token-exchange', grantId: 'exchanged' });
  token.resourceServer = new provider.ResourceServer(params.audience, info);
  const ttl = Number(wish(params.audience, 'ttl') ?? 60);
  token.expiresIn = ttl;
  ctx.body = { access_token: await token.save(), issued_token_type: accessToken, token_type: 'Bearer', expires_in: ttl, scope: params.scope };
}

const server = createServer();
server.keepAliveTimeout = 0; // a connection that ends just when it is used again would fail the request
server.listen(Number(process.argv[2]), '127.0.0.1', () => {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, configuration);
  provider.registerGrantType(exchange, exchangeToken, ['audience', 'scope', 'subject_token', 'subject_token_type', 'requested_token_type']);
  const callback = provider.callback();
  server.on('request', async (req, res) => {
    if (!req.url.startsWith('/interaction/')) return callback(req, res);
    const { prompt, params } = await provider.interactionDetails(req, res);
    if (options.loginPage && prompt.name === 'login' && req.method === 'GET') {
      res.setHeader('Content-Type', 'text/html');
      return res.end('<!doctype html><title>Sign in</title><h1>The provider</h1><form method="post"><button id="login">Sign in as alice</button></form>');
    }
    const result = prompt.name === 'login' ? { login: { accountId: params.login_hint ?? 'alice' } } : { consent: {} };
    return provider.interactionFinished(req, res, result);
  });
  console.log(`issuer ${provider.issuer}`);
});
