/** A number of a JSON text that a browser does not keep as it is written; null if there is none. */
export function rounded(json: string): string | null {
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)) {
    if (token.startsWith('"')) continue
    const digits = token.replace(/[eE].*|[-.]/g, '').replace(/^0+|0+$/g, '')
    const kept = Number(token)
    // A double keeps 15 digits, between about 1e-308 and 1e308.
    if (digits.length > 15 || !Number.isFinite(kept) || (kept === 0 && digits !== '')) return token
  }
  return null
}
