/** Secrets of every kind, and the ways in which a process is given them. */
import fc from 'fast-check'

const of = (alphabet: string, minLength: number, maxLength = minLength) =>
  fc.array(fc.constantFrom(...alphabet), { minLength, maxLength }).map((characters) => characters.join(''))

const upper = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const lower = upper.toLowerCase()
const digits = '0123456789'
const letters = upper + lower
const word = `${letters + digits}_`
const base64url = `${word}-`
const base64 = `${letters + digits}+/`
const hex = '0123456789abcdef'

/** What people and generators make up: never a word that stands elsewhere in the alert, nor a reference. */
const password = of(`${letters + digits}!#%&*+,./:;?@^_|~-`, 6, 20).map((text) => `q7${text}Zx`)
/** As a shell would hand it on: with blanks and quotes. */
const phrase = fc.array(password, { minLength: 2, maxLength: 3 }).map((parts) => parts.join(' '))
const urlPassword = of(`${letters + digits}!$%&*+,;=_.~-`, 6, 20).map((text) => `q7${text}`)
const value = of(`${letters + digits}!#%*+./:?@^_~-`, 6, 20).map((text) => `q7${text}Z`)

export interface Way {
  name: string
  secret: fc.Arbitrary<string>
  /** The arguments that hold it. */
  args(secret: string): string[]
  /** It can't be told from its surroundings once the arguments are joined: has blanks in it. */
  argumentsOnly?: true
}

const jwt = fc
  .tuple(of(base64url, 20, 60), of(base64url, 20, 80), of(base64url, 43))
  .map(([header, claims, signature]) => `eyJ${header}.eyJ${claims}.${signature}`)
const prefixed = (prefix: string, alphabet: string, minLength: number, maxLength = minLength) =>
  of(alphabet, minLength, maxLength).map((text) => prefix + text)
const pem = (kind: string) =>
  of(base64, 64, 200).map((body) => `-----BEGIN ${kind}PRIVATE KEY-----\n${body}\n-----END ${kind}PRIVATE KEY-----`)

const bare: [string, fc.Arbitrary<string>][] = [
  ['a JSON web token', jwt],
  ['an AWS access key id', prefixed('AKIA', upper + digits, 16)],
  ['an AWS session key id', prefixed('ASIA', upper + digits, 16)],
  ['a GCP API key', prefixed('AIza', base64url, 35)],
  ['a GCP access token', prefixed('ya29.', base64url, 60, 90)],
  ['a GCP client secret', prefixed('GOCSPX-', base64url, 28)],
  [
    'an Azure client secret',
    fc.tuple(of(word, 3), of(`${word}~.-`, 34)).map(([before, after]) => `${before}8Q~${after}`),
  ],
  ...['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'].map((prefix): [string, fc.Arbitrary<string>] => [
    `a ${prefix} token`,
    prefixed(prefix, letters + digits, 36),
  ]),
  ['a fine-grained token', prefixed('github_pat_', word, 82)],
  ['a glpat- token', prefixed('glpat-', base64url, 20)],
  ['a glrt- token', prefixed('glrt-', base64url, 20)],
  ['an xoxb- token', prefixed('xoxb-', `${digits + letters}-`, 40, 60)],
  ['an xapp- token', prefixed('xapp-1-', `${digits + letters}-`, 60)],
  ['an sk_live_ key', prefixed('sk_live_', letters + digits, 24, 99)],
  ['an rk_test_ key', prefixed('rk_test_', letters + digits, 24)],
  ['a signing secret', prefixed('whsec_', base64, 32)],
  ['an npm token', prefixed('npm_', letters + digits, 36)],
  ['a PyPI token', prefixed('pypi-AgEIcHlwaS5vcmc', base64url, 80)],
  ['an hvs. token', prefixed('hvs.', base64url, 24, 90)],
  ['a dckr_pat_ token', prefixed('dckr_pat_', base64url, 27)],
  ['a dop_v1_ token', prefixed('dop_v1_', hex, 64)],
  ['an AGE key', prefixed('AGE-SECRET-KEY-1', upper + digits, 58)],
  ['a PEM private key', pem('')],
  ['a PEM RSA private key', pem('RSA ')],
  ['an OpenSSH private key', pem('OPENSSH ')],
]

const option = (name: string, secret = password): Way[] => [
  { name: `${name} x`, secret, args: (text) => ['app', name, text, '--verbose'] },
  { name: `${name}=x`, secret, args: (text) => ['app', `${name}=${text}`, '--verbose'] },
  { name: `${name}, with blanks`, secret: phrase, args: (text) => ['app', name, text], argumentsOnly: true },
  { name: `${name}=, with blanks`, secret: phrase, args: (text) => ['app', `${name}=${text}`], argumentsOnly: true },
  { name: `${name} in a script`, secret: value, args: (text) => ['sh', '-c', `app ${name} '${text}' && sleep 1`] },
]
const variable = (name: string): Way[] => [
  { name: `${name}=`, secret: password, args: (text) => ['env', `${name}=${text}`, 'app'] },
  { name: `${name}=, with blanks`, secret: phrase, args: (text) => ['env', `${name}=${text}`], argumentsOnly: true },
  { name: `export ${name}=`, secret: value, args: (text) => ['bash', '-c', `export ${name}="${text}"; exec app`] },
]

/** 86 characters and two equals signs are 64 bytes in base64. */
const accountKey = of(base64, 86).map((text) => `${text}==`)

export const ways: Way[] = [
  ...bare.map(([name, secret]): Way => ({ name, secret, args: (text) => ['app', 'run', text] })),
  ...bare.map(
    ([name, secret]): Way => ({
      name: `${name} in a script`,
      secret,
      args: (text) => ['sh', '-c', `x=(${text}); echo`],
    }),
  ),
  ...[
    '--password',
    '--db-password',
    '-password',
    '--passwd',
    '--pass',
    '--token',
    '--client-secret',
    '--api-key',
    '--passphrase',
  ].flatMap((name) => option(name)),
  ...[
    'FOO_SECRET',
    'PGPASSWORD',
    'DB_PASS',
    'MYSQL_PWD',
    'API_KEY',
    'GITHUB_TOKEN',
    'AWS_SECRET_ACCESS_KEY',
    'clientSecret',
  ].flatMap(variable),
  { name: 'mysql -p', secret: password, args: (text) => ['mysql', '-uroot', `-p${text}`, 'shop'] },
  {
    name: 'mysqldump -p in a script',
    secret: value,
    args: (text) => ['sh', '-c', `mysqldump -u root -p${text} shop | gzip`],
  },
  { name: 'sshpass -p', secret: password, args: (text) => ['sshpass', '-p', text, 'ssh', 'root@10.0.0.1'] },
  { name: 'redis-cli -a', secret: password, args: (text) => ['/usr/bin/redis-cli', '-a', text, 'KEYS', '*'] },
  { name: 'docker login -p', secret: password, args: (text) => ['docker', 'login', '-u', 'robot', '-p', text] },
  { name: 'curl -u', secret: urlPassword, args: (text) => ['curl', '-u', `admin:${text}`, 'https://shop.example'] },
  {
    name: 'curl -u in a script',
    secret: of(word, 8, 16),
    args: (text) => ['sh', '-c', `curl -u "admin:${text}" https://shop.example`],
  },
  { name: 'openssl -pass pass:', secret: password, args: (text) => ['openssl', 'enc', '-pass', `pass:${text}`] },
  {
    name: 'a database URL',
    secret: urlPassword,
    args: (text) => ['app', `postgres://shop:${text}@db.internal:5432/shop?sslmode=require`],
  },
  {
    name: 'a URL without a user',
    secret: urlPassword,
    args: (text) => ['app', '--cache', `redis://:${text}@cache:6379/0`],
  },
  {
    name: 'a URL with a slash in the password',
    secret: urlPassword.map((text) => `${text}/x${text}`),
    args: (text) => ['app', `amqp://shop:${text}@mq/`],
  },
  {
    name: 'a MySQL data source name',
    secret: of(word, 8, 16),
    args: (text) => ['app', `shop:${text}@tcp(db:3306)/shop`],
  },
  {
    name: 'an ADO connection string',
    secret: value,
    args: (text) => ['app', `Server=db;User Id=sa;Password=${text};Encrypt=true`],
  },
  { name: 'an ODBC connection string', secret: value, args: (text) => ['app', `Driver={x};Uid=sa;Pwd=${text};`] },
  {
    name: 'a libpq connection string',
    secret: value,
    args: (text) => ['psql', `host=db user=shop password=${text} dbname=shop`],
  },
  {
    name: 'a JDBC URL',
    secret: of(word, 8, 16),
    args: (text) => ['java', `-Durl=jdbc:mysql://db/shop?user=shop&password=${text}&useSSL=true`],
  },
  {
    name: 'an Azure account key',
    secret: accountKey,
    args: (text) => ['app', `DefaultEndpointsProtocol=https;AccountName=x;AccountKey=${text};EndpointSuffix=x`],
  },
  {
    name: 'a shared access signature',
    secret: of(`${letters + digits}%`, 44),
    args: (text) => ['azcopy', `https://x.example/c?sv=2024-01-01&sp=r&sig=${text}`],
  },
  {
    name: 'a token in a query',
    secret: of(word, 12, 40),
    args: (text) => ['curl', `https://x.example/?access_token=${text}&a=1`],
  },
  {
    name: 'an Authorization header',
    secret: of(base64url, 20, 80),
    args: (text) => ['curl', '-H', `Authorization: Bearer ${text}`, 'https://x.example'],
  },
  {
    name: 'a basic Authorization header',
    secret: of(base64, 12, 40),
    args: (text) => ['curl', '--header', `authorization: Basic ${text}`],
  },
  { name: 'a bare Authorization header', secret: of(word, 12, 40), args: (text) => ['http', `Authorization:${text}`] },
  { name: 'an X-Api-Key header', secret: of(word, 12, 40), args: (text) => ['curl', '-H', `X-Api-Key: ${text}`] },
  {
    name: 'a PRIVATE-TOKEN header',
    secret: of(word, 12, 40),
    args: (text) => ['curl', '-H', `PRIVATE-TOKEN: ${text}`],
  },
  { name: 'a cookie', secret: of(word, 12, 40), args: (text) => ['curl', '-H', `Cookie: theme=dark; session=${text}`] },
  {
    name: 'JSON',
    secret: of(word, 8, 40),
    args: (text) => ['curl', '-d', `{"user":"a","password":"${text}"}`, 'https://x.example'],
  },
  {
    name: 'JSON with blanks',
    secret: phrase.map((text) => text.replaceAll(/[":;,]/g, '')),
    args: (text) => ['curl', '-d', `{"user": "a", "client_secret": "${text}"}`],
  },
  {
    name: 'a secret literal',
    secret: of(word, 8, 40),
    args: (text) => ['kubectl', 'create', 'secret', 'generic', 'db', `--from-literal=password=${text}`],
  },
  {
    name: 'a chart value',
    secret: of(word, 8, 40),
    args: (text) => ['helm', 'install', 'db', './db', '--set', `image.tag=1,auth.rootPassword=${text}`],
  },
  {
    name: 'a chat webhook',
    secret: of(letters + digits, 24),
    args: (text) => ['curl', `https://hooks.slack.com/services/T01234567/B01234567/${text}`],
  },
  {
    name: 'aws configure',
    secret: of(base64, 40).filter((text) => !/^\/|^\W/.test(text)),
    args: (text) => ['aws', 'configure', 'set', 'aws_secret_access_key', text],
  },
]
