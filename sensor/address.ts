/** An address and a port to listen on, as the configuration and the command line write it. */
export const addressForm = 'an address and a port such as 127.0.0.1:9464 or [::1]:9464'

const port = '(?:\\d{1,4}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])'
export const addressPattern = `^(?:\\[[0-9a-fA-F:.]+\\]|[^:\\s]+):${port}$`

/** `text` matches addressPattern. */
export function splitAddress(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) }
}
