// Checks a session token as an application would: with a JWT library that has never
// heard of the server, and with nothing but the issuer's published keys.
//
//   node verify.mjs ISSUER AUDIENCE <TOKEN
//
// Prints header and claims as JSON. A token that is refused ends it with status 1 and
// the library's code for the reason.
import { webcrypto } from 'node:crypto'
import { text } from 'node:stream/consumers'

// Node.js 18 has the same object, but not as a global.
globalThis.crypto ??= webcrypto
const { createRemoteJWKSet, jwtVerify } = await import('jose')

const [issuer, audience] = process.argv.slice(2)
const token = (await text(process.stdin)).trim()
const keys = createRemoteJWKSet(new URL(issuer + '/.well-known/jwks.json'))
try {
  const { protectedHeader, payload } = await jwtVerify(token, keys, {
    issuer,
    audience,
    typ: 'at+jwt',
    algorithms: ['ES256', 'EdDSA', 'RS256'],
    requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'sid'],
  })
  console.log(JSON.stringify({ header: protectedHeader, claims: payload }))
} catch (error) {
  console.error(error.code ?? error)
  process.exitCode = 1
}
