/**
 * Programs whose options for a secret have no name that says so. One entry is a set of programs that share them.
 */
export interface SecretOptions {
  programs: readonly string[]
  /** Options whose next argument is the secret. */
  separate?: readonly string[]
  /** Options that the secret follows in the same argument: -pSECRET. */
  attached?: readonly string[]
  /** What of the argument is kept: the user in `user:password`. Where it doesn't match there is no secret. */
  keep?: RegExp
  /** Only after this subcommand: `docker login -p`, but not `docker run -p`. */
  after?: string
}

export const secretOptions: readonly SecretOptions[] = [
  {
    // A secret apart from -p is the name of a database: these ask for the password then.
    programs: [
      ...['mysql', 'mysqldump', 'mysqladmin', 'mysqlimport', 'mysqlcheck', 'mysqlshow', 'mysqlslap', 'mysqlbinlog'],
      ...['mariadb', 'mariadb-dump', 'mariadb-admin', 'mariadb-import', 'mariadb-check', 'mariadb-show'],
    ],
    attached: ['-p'],
  },
  { programs: ['sshpass'], separate: ['-p'], attached: ['-p'] },
  { programs: ['redis-cli', 'valkey-cli'], separate: ['-a'] },
  {
    programs: ['mongo', 'mongosh', 'mongodump', 'mongorestore', 'mongoexport', 'mongoimport', 'mongostat', 'mongotop'],
    separate: ['-p'],
    attached: ['-p'],
  },
  {
    programs: ['ldapsearch', 'ldapadd', 'ldapmodify', 'ldapdelete', 'ldapwhoami', 'ldappasswd', 'ldapcompare'],
    separate: ['-w'],
    attached: ['-w'],
  },
  { programs: ['7z', '7za', '7zr', '7zz'], attached: ['-p'] },
  { programs: ['rar', 'unrar'], attached: ['-hp', '-p'] },
  { programs: ['zip', 'unzip', 'zipcloak'], separate: ['-P'], attached: ['-P'] },
  { programs: ['sqlcmd', 'bcp', 'isql', 'tsql', 'plink', 'pscp'], separate: ['-P', '-pw'] },
  { programs: ['cqlsh', 'rabbitmqadmin'], separate: ['-p'] },
  { programs: ['ipmitool'], separate: ['-P'] },
  { programs: ['docker', 'podman', 'nerdctl', 'buildah', 'skopeo', 'helm', 'oc'], after: 'login', separate: ['-p'] },
  { programs: ['az'], after: 'login', separate: ['-p'] },
  { programs: ['aws'], after: 'configure', separate: ['aws_secret_access_key', 'aws_session_token'] },
  { programs: ['curl'], separate: ['-u', '--user', '-U', '--proxy-user'], attached: ['-u'], keep: /^[^:]*:/ },
  { programs: ['http', 'https', 'xh'], separate: ['-a', '--auth'], keep: /^[^:]*:/ },
  { programs: ['smbclient', 'rpcclient', 'net', 'smbget', 'smbmap'], separate: ['-U', '--user'], keep: /^[^%]*%/ },
  {
    programs: ['openssl'],
    separate: ['-pass', '-passin', '-passout', '-k', '-K'],
    keep: /^(?:pass:|(?!env:|file:|fd:|stdin))/,
  },
  { programs: ['snmpget', 'snmpset', 'snmpwalk', 'snmpbulkwalk'], separate: ['-A', '-X', '-c'] },
]

const byProgram = new Map<string, SecretOptions[]>()
for (const options of secretOptions) {
  for (const program of options.programs) byProgram.set(program, [...(byProgram.get(program) ?? []), options])
}

/** What the program that is started by this word, a name or a path, takes; undefined if it isn't known here. */
export const optionsOf = (word: string): readonly SecretOptions[] | undefined =>
  byProgram.get(word.slice(word.lastIndexOf('/') + 1))
