/** What is wrong with a receiver's configuration, for a person: where, what was found, what was expected. No secret. */
export type Complain = (key: string, problem: string) => Error

/** `where` is such as `exporters.webhooks, "soc"`. */
export const complaintAbout =
  (where: string): Complain =>
  (key, problem) =>
    new Error(`${where}: ${key}: ${problem}`)
