// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider on a free port of loopback: `node provider.js CALLBACK SECRET` prints its port, and signs in
// whoever is named. People called `unverified@…` have an address that was never verified.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [callback, secret] = process.argv.slice(2);
const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{ client_id: 'tirta', client_secret: secret, redirect_uris: [callback], grant_types: ['authorization_code'] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    cookies: { keys: [secret] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: id, email_verified: !id.startsWith('unverified'), name: id }),
    }),
  });
  server.on('request', provider.callback());
  console.log(port);
});
