// Rows of a name and a value, such as headers and metadata.
import type { Problem } from '../api/client'
import { FieldErrors } from './field'
import { Icon } from './icons'

export interface Pair {
  name: string
  value: string
}

export const pairsOf = (fields: Record<string, string>): Pair[] => Object.entries(fields).map(([name, value]) => ({ name, value }))

/** Rows without a name and a value say nothing. */
export const objectOf = (pairs: Pair[]): Record<string, string> =>
  Object.fromEntries(pairs.filter(({ name, value }) => name.trim() || value).map(({ name, value }) => [name.trim(), value]))

/** Metadata is merged by the server: a name that is gone has to be said. */
export const withRemoved = (before: Record<string, string>, after: Record<string, string>): Record<string, string | null> => ({
  ...Object.fromEntries(Object.keys(before).map((name) => [name, null])),
  ...after,
})

interface Props {
  label: string
  add: string
  hint: string
  /** An example of a name. */
  names: string
  pointer: string
  pairs: Pair[]
  problem: Problem | null
  /** The server keeps so many. */
  most?: number
  change: (pairs: Pair[]) => void
}

export function Pairs({ label, add, hint, names, pointer, pairs, problem, most = Infinity, change }: Props) {
  const put = (at: number, part: Partial<Pair>) => change(pairs.map((pair, index) => (index === at ? { ...pair, ...part } : pair)))
  return (
    <fieldset class="field">
      <legend>{label}</legend>
      {pairs.map((pair, index) => (
        <div key={index} class="pair">
          <input class="mono" aria-label="Name" placeholder={names} spellcheck={false} autocomplete="off" value={pair.name} onInput={(event) => put(index, { name: event.currentTarget.value })} />
          <input class="mono" aria-label="Value" spellcheck={false} autocomplete="off" value={pair.value} onInput={(event) => put(index, { value: event.currentTarget.value })} />
          <button type="button" class="icon-button" aria-label={`Remove ${pair.name || 'this line'}`} title="Remove" onClick={() => change(pairs.filter((_, other) => other !== index))}>
            <Icon name="close" />
          </button>
        </div>
      ))}
      <FieldErrors problem={problem} pointer={pointer} />
      <div class="field-tools">
        {pairs.length < most && (
          <button type="button" class="text-button" onClick={() => change([...pairs, { name: '', value: '' }])}>
            <Icon name="plus" /> {add}
          </button>
        )}
        <span class="faint">{hint}</span>
      </div>
    </fieldset>
  )
}
