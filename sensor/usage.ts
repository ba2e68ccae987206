/** What a person asked for can't be done as asked: bad flags, configuration, rules or capture. The exit code is 2. */
export class UsageError extends Error {}
