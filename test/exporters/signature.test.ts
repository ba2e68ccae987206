import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { signingKey, webhookHeaders } from '../../exporters/signature.ts'

test('the example that the Standard Webhooks libraries are tested with comes out', () => {
  const key = signingKey(Buffer.from('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n'))
  expect(webhookHeaders('msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330_000, '{"test": 2432232314}', key)).toEqual({
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
})

test('openssl computes the same signature from the raw bytes of a secret', () => {
  const secret = Buffer.concat([randomBytes(32), Buffer.from([0x0a, 0xff])])
  const body = '{"message":"grün 🦜"}'
  const headers = webhookHeaders('01ARZ3NDEKTSV4RRFFQ69G5FAV', 1_772_366_096_789, body, signingKey(secret))
  const mac = execFileSync(
    'openssl',
    ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${secret.toString('hex')}`, '-binary'],
    {
      input: `01ARZ3NDEKTSV4RRFFQ69G5FAV.1772366096.${body}`,
    },
  )
  expect(headers['webhook-signature']).toBe(`v1,${mac.toString('base64')}`)
})

test('without a key the time and the id are told, and nothing is signed', () => {
  expect(webhookHeaders('a', 1999, '{}')).toEqual({ 'webhook-id': 'a', 'webhook-timestamp': '1' })
})

test.each([
  ['plain', 'plain'],
  ['one newline\n', 'one newline'],
  ['carriage return\r\n', 'carriage return'],
  ['two newlines\n\n', 'two newlines\n'],
  [' spaces ', ' spaces '],
])('the key of the file %j is %j', (contents, key) => {
  expect(signingKey(Buffer.from(contents)).toString()).toBe(key)
})

test.each(['', '\n', 'whsec_', 'whsec_no base64!'])(
  'the secret file %j is refused, without telling what it holds',
  (contents) => {
    expect(() => signingKey(Buffer.from(contents))).toThrow(
      /^found (an empty file|whsec_ with something that is not base64)/,
    )
  },
)
