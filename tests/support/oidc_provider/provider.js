// The OpenID provider of the tests: certified, over TLS, with people that it never asks for a password.
// Its interactions are answered by requests to /interaction/…?login=NAME (or with a header, for a real browser), and what attacks need is switched on
// by POST /attack: an ID token with other claims, another key, another algorithm.
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';

import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const tls = { cert: readFileSync(settings.certificate), key: readFileSync(settings.key) };
const server = createServer(tls);
await new Promise((resolve) => server.listen(settings.port ?? 0, '127.0.0.1', resolve));
const issuer = `https://localhost:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: settings.clients,
  jwks: settings.jwks,
  claims: { openid: ['sub'], email: ['email'], groups: ['groups'] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false }, revocation: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, groups: ['reviewers'] }),
  }),
  ttl: { IdToken: settings.idTokenSeconds ?? 300, AccessToken: 300, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600, AuthorizationCode: 60 },
  cookies: { keys: ['of-the-tests'] },
  rotateRefreshToken: true,
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
});

const callback = provider.callback();
server.on('request', async (request, response) => {
  const url = new URL(request.url, issuer);
  if (!url.pathname.startsWith('/interaction/')) return callback(request, response);
  try {
    const details = await provider.interactionDetails(request, response);
    const accountId = url.searchParams.get('login') ?? request.headers['x-test-login'] ?? 'alice';
    const grant = new provider.Grant({ accountId, clientId: details.params.client_id });
    grant.addOIDCScope(details.params.scope);
    await provider.interactionFinished(request, response, {
      login: { accountId },
      consent: { grantId: await grant.save() },
    });
  } catch (error) {
    response.writeHead(400).end(String(error));
  }
});
console.log(`serving ${issuer}`);
