/**
 * OpenMetrics 1.0 text, which Prometheus asks for first. prom-client can write it too, but to do so it renames every
 * counter in the registry for good, so that the plain text is wrong ever after; hence this translation of the text.
 */
export const openMetricsType = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

/** Translates the Prometheus text format (0.0.4), as prom-client writes it, to OpenMetrics 1.0. */
export function toOpenMetrics(text: string): string {
  const translated = text
    // A counter's family is named without the suffix that its samples carry.
    .replace(/^(# HELP )(\S+?)_total( .*\n# TYPE )\2_total counter$/gm, '$1$2$3$2 counter')
    // A bucket's bound is a float in canonical form. A raw quote never occurs inside a label's value.
    .replace(/([{,])le="(\d+)"/g, '$1le="$2.0"')
    .replace(/\n{2,}/g, '\n')
  return `${translated.trimEnd()}\n# EOF\n`
}

/** Whether a scraper with this Accept header would rather have OpenMetrics 1.0 than plain text. */
export function prefersOpenMetrics(accept: string | undefined): boolean {
  let openMetrics = 0
  let plain = 0
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const parameter = (name: string) => parameters.find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1)
    const quality = Number(parameter('q') ?? 1)
    if (!(quality >= 0 && quality <= 1)) continue
    if (type === 'text/plain') plain = Math.max(plain, quality)
    const version = parameter('version') ?? '1.0.0'
    if (type === 'application/openmetrics-text' && version.replaceAll('"', '') === '1.0.0') {
      openMetrics = Math.max(openMetrics, quality)
    }
  }
  return openMetrics > 0 && openMetrics >= plain
}
