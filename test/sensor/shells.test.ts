import { describe, expect, test } from 'vitest'
import { baseName, programName, readsCommandsFrom } from '../../sensor/shells.ts'

/** Splits a command line at its spaces: none of these quotes one. */
const reads = (commandLine: string, executable?: string) => {
  const args = commandLine.split(' ')
  return readsCommandsFrom(programName(executable ?? `/bin/${args[0]}`, args), args)
}

describe('a shell with its commands in an argument', () => {
  test.each([
    'sh -c id',
    'bash -c id',
    'bash -lc id',
    'bash -ic id',
    'bash -xec id',
    'bash -l -c id',
    'sh -e -c id',
    'sh -o pipefail -c id',
    'bash -o errexit -o pipefail -c id',
    'bash -eo pipefail -c id',
    'bash -euxo pipefail -c id',
    'bash +o history -c id',
    'bash +eo history -c id',
    'bash -O extglob -c id',
    'bash -eO extglob -c id',
    'bash -oO pipefail extglob -c id',
    'bash --norc --noprofile -c id',
    'bash -norc -c id',
    'bash --rcfile /dev/null -ic id',
    'bash -rcfile /dev/null -ic id',
    'bash --posix -c id',
    'dash -c id',
    'ash -c id',
    'zsh -fc id',
    'ksh93 -c id',
    'fish -c id',
    'fish --command=id',
    'fish --command id',
    'fish -C init -c id',
    'csh -fc id',
    'tcsh -c id',
  ])('%s', (commandLine) => {
    expect(reads(commandLine)).toBe('argument')
  })
})

describe('a shell with its commands in a script', () => {
  test.each([
    'sh script.sh',
    'sh ./script.sh -c',
    '/bin/sh /etc/init.d/cron start',
    'bash -x script',
    'sh -e script',
    'bash -eo pipefail script.sh',
    'bash --noprofile --norc -eo pipefail /tmp/step.sh',
    'bash -o pipefail script.sh -s',
    'bash -C script.sh',
    'bash -- script.sh',
    'bash - script.sh',
    'bash -norc script.sh',
    'bash -restricted script.sh',
    'bash --rcfile file script.sh',
    'zsh -f file',
    'fish script.fish',
    'fish -N script.fish',
    'csh -f script.csh',
    'bash -i script.sh',
    'bash /dev/fd/63',
  ])('%s', (commandLine) => {
    expect(reads(commandLine, commandLine.startsWith('/') ? '/bin/sh' : undefined)).toBe('script')
  })
})

describe('a shell that takes its commands from its input', () => {
  test.each([
    'sh',
    'bash -i',
    'bash -li',
    'sh -e',
    'sh -s',
    'sh -s arg',
    'bash -s -- arg',
    'bash -es arg',
    'bash -eo pipefail',
    'bash -euo pipefail -s arg',
    'bash -so pipefail arg',
    'bash --norc -i',
    'bash --norc --noprofile',
    'bash -norc',
    'bash -norc -i',
    'bash -noprofile -norc',
    'bash -restricted',
    'bash -noediting -i',
    'bash -login',
    'bash -posix',
    'bash --rcfile file -i',
    'bash -rcfile file -i',
    'bash --init-file file',
    'bash --login',
    'sh -',
    'bash --',
    'zsh -f',
    'zsh -i',
    'fish',
    'fish -i',
    'fish -C init',
    'fish --init-command init',
    'fish --init-command=init',
    'tcsh',
    'bash /dev/stdin',
    'bash /dev/stdin arg',
    'sh /dev/fd/0',
    'sh -x /proc/self/fd/0',
    'sh /dev/../dev//stdin',
    'sh -- /dev/stdin',
  ])('%s', (commandLine) => {
    expect(reads(commandLine)).toBe('stdin')
  })

  test.each(['-sh', '-bash', '-zsh'])('%s: a login shell', (name) => {
    expect(reads(name, `/bin/${name.slice(1)}`)).toBe('stdin')
  })

  test('whatever it calls itself', () => {
    expect(reads('kworker/0:1', '/bin/bash')).toBe('stdin')
    expect(reads('busybox -o pipefail', '/bin/bash')).toBe('stdin')
    expect(reads('busybox -c id', '/bin/bash')).toBe('argument')
    expect(readsCommandsFrom('bash', [''])).toBe('stdin')
    expect(readsCommandsFrom('bash', [])).toBe('stdin')
  })
})

test.each([
  'sh',
  'bash',
  'bash-static',
  'rbash',
  'dash',
  'ash',
  'zsh',
  'zsh5',
  'ksh',
  'ksh93',
  'mksh',
  'mksh-static',
  'lksh',
  'oksh',
  'pdksh',
  'posh',
  'yash',
  'fish',
  'csh',
  'bsd-csh',
  'tcsh',
])('%s is a shell', (name) => {
  expect(readsCommandsFrom(name, [name])).toBe('stdin')
  expect(readsCommandsFrom(name, [name, '-c', 'id'])).toBe('argument')
  expect(readsCommandsFrom(name, [name, 'file'])).toBe('script')
})

test.each(['python3.11', 'nc', 'sshd', 'ssh', 'bashful', 'Sh', 'push', 'node'])('%s is none', (name) => {
  expect(readsCommandsFrom(name, [name, '-c', 'id'])).toBeUndefined()
})

test('a program that is not known is none', () => {
  expect(readsCommandsFrom(undefined, ['sh'])).toBeUndefined()
})

describe('busybox', () => {
  test.each([
    ['busybox sh -c id', 'argument'],
    ['busybox sh script.sh', 'script'],
    ['busybox sh', 'stdin'],
    ['busybox ash -i', 'stdin'],
    ['/bin/busybox sh -c id', 'argument'],
    ['busybox /bin/sh -c id', 'argument'],
    ['busybox busybox sh -c id', 'argument'],
    ['busybox busybox sh', 'stdin'],
    ['busyboxx sh', 'stdin'],
    ['sh -c id', 'argument'],
    ['sh script.sh', 'script'],
    ['ash', 'stdin'],
    ['-sh', 'stdin'],
    ['busybox nc 203.0.113.9 4444', undefined],
    ['nc 203.0.113.9 4444', undefined],
  ])('%s', (commandLine, from) => {
    expect(reads(commandLine, '/bin/busybox')).toBe(from)
    expect(reads(commandLine, '/bin/busybox.static')).toBe(from)
  })
})

describe('the name of a program', () => {
  test.each<[string, string[], string]>([
    ['/usr/bin/bash', ['bash'], 'bash'],
    ['/usr/bin/bash', ['-bash'], 'bash'],
    ['/usr/bin/bash', ['nginx: worker'], 'bash'],
    ['/usr/bin/bash', [], 'bash'],
    ['/memfd:x', ['sh'], 'memfd:x'],
    ['…/usr/bin/bash', ['bash'], 'bash'],
    ['/bin/busybox', ['sh'], 'sh'],
    ['/bin/busybox', ['/bin/wget', 'http://x'], 'wget'],
    ['/bin/busybox', ['-ash'], 'ash'],
    ['/bin/busybox', ['busybox', 'wget'], 'wget'],
    ['/bin/busybox', ['/bin/busybox', '/usr/bin/wget'], 'wget'],
    ['/bin/busybox', ['busybox', 'busybox', 'wget'], 'wget'],
    ['/bin/busybox', ['busybox-hidden', 'wget'], 'wget'],
    ['/bin/busybox', ['busybox'], 'busybox'],
    ['/bin/busybox', ['busybox', '--list'], 'busybox'],
    ['/bin/busybox', [], 'busybox'],
    ['/bin/busybox', [''], 'busybox'],
    ['/bin/busybox.static', ['busybox', 'sh'], 'sh'],
    ['/usr/bin/toybox', ['toybox', 'nc'], 'nc'],
    ['/usr/bin/coreutils', ['ls'], 'ls'],
    ['/usr/bin/coreutils', ['coreutils', '--coreutils-prog=ls', '/'], 'coreutils'],
  ])('%s called as %j is %s', (executable, args, name) => {
    expect(programName(executable, args)).toBe(name)
  })

  test.each([
    ['/usr/bin/sh', 'sh'],
    ['sh', 'sh'],
    ['/', ''],
    ['/a b/c d', 'c d'],
  ])('the base name of %j is %j', (path, name) => {
    expect(baseName(path)).toBe(name)
  })
})
