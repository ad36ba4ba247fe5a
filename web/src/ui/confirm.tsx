// Asks before something that cannot be undone, or that others notice.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { asProblem, type Problem } from '../api/client'
import { CloseButton, Dialog } from './dialog'
import { Field } from './field'
import { Failure } from './states'

interface Props {
  title: string
  /** What the button says. */
  verb: string
  danger?: boolean
  /** What has to be typed first, if anything. */
  typed?: string
  /** Shows what came of it, and closes itself. */
  stays?: boolean
  children: ComponentChildren
  act: () => Promise<void>
  close: () => void
}

export function Confirm({ title, verb, danger = false, typed, stays = false, children, act, close }: Props) {
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem | null>(null)
  const submit = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      await act()
      if (!stays) close()
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  return (
    <Dialog label={title} close={close}>
      <header class="dialog-head">
        <h2>{title}</h2>
        <CloseButton close={close} />
      </header>
      <form onSubmit={(event) => void submit(event)}>
        <div class="prose">{children}</div>
        {typed !== undefined && (
          <Field label={`Type ${typed} to confirm`}>
            {(id, described) => <input id={id} aria-describedby={described} class="mono" autocomplete="off" spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />}
          </Field>
        )}
        {problem && <Failure problem={problem} />}
        <footer class="dialog-foot">
          <button type="button" class="button" onClick={close}>
            Close
          </button>
          <button type="submit" class={`button ${danger ? 'danger' : 'primary'}`} disabled={busy || (typed !== undefined && text.trim() !== typed.trim())}>
            {verb}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
