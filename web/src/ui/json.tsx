// Shows what strangers sent: always as text, never as markup, and bounded.
import { useMemo, useState } from 'preact/hooks'
import { Icon } from './icons'
import { bytes, copy } from './moment'

const SHOWN = 64 * 1_024
/** Larger texts are shown as they are. */
const MOST_INDENTED = 1_024 * 1_024
/** Indented, deeper ones would be mostly spaces. */
const DEEPEST = 64

function pretty(text: string): string | null {
  if (text.length > MOST_INDENTED) return null
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? indent(text) : null
  } catch {
    return null
  }
}

/** Indents the text as it is: parsing and writing it again would round long numbers and drop repeated keys. */
function indent(text: string): string | null {
  const out: string[] = []
  let length = 0
  let depth = 0
  let justOpened = false
  const line = () => '\n' + '  '.repeat(depth)
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const closes = token === '}' || token === ']'
    if (closes) depth -= 1
    if (justOpened !== closes && (justOpened || closes)) out.push(line())
    justOpened = token === '{' || token === '['
    if (justOpened) depth += 1
    const written = token === ',' ? token + line() : token === ':' ? ': ' : token
    out.push(written)
    length += written.length + 2 * depth
    if (depth > DEEPEST || length > 4 * MOST_INDENTED) return null
  }
  return out.join('')
}

/** Control characters but tab and line ends; what turns the direction of text around; what has no width. */
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g

/** Nobody sees these characters, and some reorder the text around them: they are shown as JSON would write them. */
export const visible = (text: string) => text.replace(HIDDEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)

const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g

function Coloured({ text }: { text: string }) {
  const parts = []
  let end = 0
  for (const found of text.matchAll(TOKENS)) {
    parts.push(text.slice(end, found.index))
    const kind = found[2] !== undefined ? 'key' : found[1] ? 'string' : 'value'
    // A text from right to left must not reorder what stands around it.
    parts.push(<bdi class={`json-${kind}`}>{found[1] ?? found[0]}</bdi>, found[2] ?? '')
    end = found.index + found[0].length
  }
  parts.push(text.slice(end))
  return <>{parts}</>
}

interface Props {
  text: string
  label: string
  /** The text is the beginning of more. */
  cut?: boolean
}

export function Json({ text, label, cut = false }: Props) {
  const [raw, setRaw] = useState(false)
  const [all, setAll] = useState(false)
  const formatted = useMemo(() => pretty(text), [text])
  const size = useMemo(() => new Blob([text]).size, [text])
  const whole = raw ? text : (formatted ?? text)
  const shown = useMemo(() => visible(all ? whole : whole.slice(0, SHOWN)), [whole, all])
  const isColoured = formatted !== null && !raw && (!all || whole.length <= SHOWN)
  const content = useMemo(() => (isColoured ? <Coloured text={shown} /> : shown), [shown, isColoured])
  return (
    <figure class="json">
      <figcaption>
        <span>{label}</span>
        <span class="faint">
          {bytes(size)}
          {cut && ', only the beginning is kept'}
        </span>
        <span class="grow" />
        {formatted !== null && (
          <button type="button" class="text-button" aria-pressed={raw} onClick={() => setRaw(!raw)}>
            {raw ? 'Pretty' : 'Raw'}
          </button>
        )}
        <button type="button" class="icon-button small" aria-label={`Copy ${label}`} title="Copy" onClick={() => void copy(text)}>
          <Icon name="copy" />
        </button>
      </figcaption>
      <pre tabIndex={0} aria-label={label}>
        {content}
      </pre>
      {!all && whole.length > SHOWN && (
        <button type="button" class="text-button" onClick={() => setAll(true)}>
          Show all of it
        </button>
      )}
    </figure>
  )
}

/** Header fields; one that came several times is a list. */
export function Fields({ fields, label }: { fields: Record<string, unknown> | null | undefined; label: string }) {
  if (!fields) return null
  const rows = Object.entries(fields).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, String(one)] as const))
  return (
    <figure class="fields">
      <figcaption>
        <span>{label}</span>
      </figcaption>
      <dl>
        {rows.map(([name, value], index) => (
          <div key={index}>
            <dt>{name}</dt>
            <dd>
              <bdi>{visible(value)}</bdi>
            </dd>
          </div>
        ))}
      </dl>
    </figure>
  )
}
