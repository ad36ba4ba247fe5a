// An attempt as a command to paste into a shell.
import type { Schemas } from '../../api/client'

/** In single quotes nothing is special but the quote itself. */
const quoted = (text: string) => `'${text.replace(/'/g, `'\\''`)}'`

/** The connection makes these itself. */
const OF_THE_CONNECTION = new Set(['host', 'content-length', 'connection', 'transfer-encoding'])

export function curl(attempt: Schemas['Attempt'], payload: string | null): string {
  const fields = Object.entries((attempt.request.headers ?? {}) as Record<string, string | string[]>)
  const lines = fields
    .filter(([name]) => !OF_THE_CONNECTION.has(name))
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => `-H ${quoted(`${name}: ${one}`)}`))
  // What is no text cannot be pasted.
  const isText = payload !== null && !/[\0\ufffd]/.test(payload)
  const body = isText ? [`--data-binary ${quoted(payload)}`] : ['--data-binary @payload']
  return [`curl -sS -i -X POST ${quoted(attempt.request.url ?? '')}`, ...lines, ...body].join(' \\\n  ')
}
