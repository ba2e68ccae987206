/** The frameworks that rules are tagged with: where an identifier is explained, and what it stands for where short. */
export interface Framework {
  readonly title: string
  name(id: string): string | undefined
  url(id: string): string
  /** Said before its table. */
  readonly about?: string
}

/** OWASP Non-Human Identities Top 10, 2025. */
const nonHumanIdentity: Record<string, string> = {
  'NHI1:2025': 'Improper Offboarding',
  'NHI2:2025': 'Secret Leakage',
  'NHI3:2025': 'Vulnerable Third-Party NHI',
  'NHI4:2025': 'Insecure Authentication',
  'NHI5:2025': 'Overprivileged NHI',
  'NHI6:2025': 'Insecure Cloud Deployment Configurations',
  'NHI7:2025': 'Long-Lived Secrets',
  'NHI8:2025': 'Environment Isolation',
  'NHI9:2025': 'NHI Reuse',
  'NHI10:2025': 'Human Use of NHI',
}

/** The categories of NIST CSF 2.0 that the tags' subcategories belong to (NIST CSWP 29, appendix A). */
const cybersecurity: Record<string, string> = {
  'DE.AE': 'Adverse Event Analysis',
  'DE.CM': 'Continuous Monitoring',
  'PR.AA': 'Identity Management, Authentication, and Access Control',
  'PR.DS': 'Data Security',
  'PR.PS': 'Platform Security',
  'RS.MI': 'Incident Mitigation',
}

export const frameworks = {
  mitre: {
    title: 'MITRE ATT&CK',
    name: () => undefined,
    url: (id) => `https://attack.mitre.org/techniques/${id.replace('.', '/')}/`,
    about:
      'The same as a layer for the [ATT&CK Navigator](https://mitre-attack.github.io/attack-navigator/): [`navigator.json`](navigator.json) (Open Existing Layer, layer format 4.5). A technique’s score is its number of enabled rules.',
  },
  owasp_nhi: {
    title: 'OWASP Non-Human Identities Top 10 (2025)',
    name: (id) => nonHumanIdentity[id],
    url: () => 'https://owasp.org/www-project-non-human-identities-top-10/2025/',
  },
  nist_csf: {
    title: 'NIST Cybersecurity Framework 2.0',
    name: (id) => cybersecurity[id.replace(/-.*/, '')],
    url: () => 'https://doi.org/10.6028/NIST.CSWP.29',
  },
} satisfies Record<string, Framework>
