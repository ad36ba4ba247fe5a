// Metadata as rows of a name and a value.
import type { Problem } from '../../api/client'
import { Icon } from '../../ui/icons'

export interface Note {
  name: string
  value: string
}

/** The server keeps so many. */
const MOST = 50

export const readNotes = (metadata: Record<string, string>): Note[] => Object.entries(metadata).map(([name, value]) => ({ name, value }))

/** What to send: a name that was there before and is gone is null, which removes it. */
export function writeNotes(notes: Note[], before: Record<string, string>): Record<string, string | null> {
  const removed = Object.keys(before).map((name) => [name, null] as const)
  return Object.fromEntries<string | null>([...removed, ...notes.filter(({ name }) => name.trim()).map(({ name, value }) => [name.trim(), value] as const)])
}

interface Props {
  notes: Note[]
  set: (notes: Note[]) => void
  problem: Problem | null
}

export function Notes({ notes, set, problem }: Props) {
  const change = (at: number, change: Partial<Note>) => set(notes.map((note, index) => (index === at ? { ...note, ...change } : note)))
  const errors = (problem?.errors ?? []).filter((error) => error.pointer.startsWith('/metadata'))
  return (
    <fieldset class="notes">
      <legend>Metadata</legend>
      {notes.map((note, index) => (
        <div key={index} class="notes-row">
          <input aria-label={`Name ${index + 1}`} class="mono" placeholder="plan" spellcheck={false} value={note.name} onInput={(event) => change(index, { name: event.currentTarget.value })} />
          <input aria-label={`Value ${index + 1}`} placeholder="gold" value={note.value} onInput={(event) => change(index, { value: event.currentTarget.value })} />
          <button type="button" class="icon-button" aria-label={`Remove ${note.name || 'this row'}`} title="Remove" onClick={() => set(notes.filter((_, at) => at !== index))}>
            <Icon name="close" />
          </button>
        </div>
      ))}
      {errors.map((error) => (
        <p key={error.pointer + error.code} class="field-error">
          {error.pointer.replace(/^\/metadata\/?/, '')} {error.detail}
        </p>
      ))}
      {notes.length < MOST && (
        <button type="button" class="text-button" onClick={() => set([...notes, { name: '', value: '' }])}>
          Add a note
        </button>
      )}
    </fieldset>
  )
}
