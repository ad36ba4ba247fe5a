// Where a text stops being JSON. Browsers do not agree on saying it, and some do not say it at all.

/** An opening or closing sign, a comma, a colon, or a value without parts. Anything else is at fault. */
const TOKEN = /[{}[\],:]|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y
const BLANK = /[ \t\n\r]*/y

type Wanted = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or the end'

/** What follows `token`, or null if it may not stand here. `closers` has the sign that ends each open part. */
function after(token: string, wanted: Wanted, closers: string[]): Wanted | null {
  const isKey = wanted === 'key' || wanted === 'key or }'
  if (wanted === ':') return token === ':' ? 'value' : null
  if (wanted === ', or the end' && token === ',') return closers.length ? (closers.at(-1) === '}' ? 'key' : 'value') : null
  if (token === '}' || token === ']') {
    const mayClose = wanted === ', or the end' || wanted === `key or ${token}` || wanted === `value or ${token}`
    return mayClose && closers.pop() === token ? ', or the end' : null
  }
  if (isKey) return token.startsWith('"') ? ':' : null
  if (wanted === ', or the end' || token === ',' || token === ':') return null
  if (token !== '{' && token !== '[') return ', or the end'
  closers.push(token === '{' ? '}' : ']')
  return token === '{' ? 'key or }' : 'value or ]'
}

/** The index of the first fault, `text.length` where something is missing at the end; null for JSON. */
export function faultAt(text: string): number | null {
  const closers: string[] = []
  let wanted: Wanted = 'value'
  for (let at = 0; ; ) {
    BLANK.lastIndex = at
    at += BLANK.exec(text)?.[0].length ?? 0
    if (at === text.length) return wanted === ', or the end' && !closers.length ? null : at
    TOKEN.lastIndex = at
    const token = TOKEN.exec(text)?.[0]
    const next: Wanted | null = token === undefined ? null : after(token, wanted, closers)
    if (token === undefined || next === null) return at
    wanted = next
    at += token.length
  }
}

/** The fault in words, with its line and column; null for JSON. */
export function jsonFault(text: string): string | null {
  const at = faultAt(text)
  if (at === null) return null
  const lines = text.slice(0, at).split('\n')
  const found = text[at]
  const what = found === undefined ? 'something is missing' : found === '"' ? 'a string is not expected, or broken,' : `${found} is not expected`
  return `is not JSON: ${what} at line ${lines.length}, column ${(lines.at(-1)?.length ?? 0) + 1}`
}
