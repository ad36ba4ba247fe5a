// Form fields that show what the server says of them: a problem names the field by its pointer.
import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import type { Problem } from '../api/client'
import { Failure } from './states'

interface Props {
  label: string
  hint?: ComponentChildren
  /** The field's place in the request, as in `/target_url`. */
  pointer?: string
  problem?: Problem | null
  children: (id: string, described: string | undefined) => ComponentChildren
}

/** What a problem says of a field, or of something inside it. */
export const errorsAt = (problem: Problem | null | undefined, pointer: string) =>
  (problem?.errors ?? []).filter((error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`))

export function FieldErrors({ problem, pointer }: { problem: Problem | null | undefined; pointer: string }) {
  return (
    <>
      {errorsAt(problem, pointer).map((error) => (
        <p key={error.pointer + error.code + error.detail} class="field-error">
          {error.pointer === pointer ? '' : `${error.pointer.slice(pointer.length)} `}
          {error.detail}
        </p>
      ))}
    </>
  )
}

interface FormFailureProps {
  problem: Problem | null
  /** The fields that say themselves what is wrong with them. */
  fields: string[]
  /** What the form could not do. */
  done?: 'saved' | 'counted' | 'created' | 'rotated' | 'sent'
}

/** What a form could not do, without what its fields say already. */
export function FormFailure({ problem, fields, done = 'saved' }: FormFailureProps) {
  if (!problem) return null
  if (!problem.errors?.length) return <Failure problem={problem} />
  const isShown = (pointer: string) => fields.some((field) => pointer === field || (pointer.startsWith(field) && /^[/#]/.test(pointer.slice(field.length))))
  const errors = problem.errors.filter(({ pointer }) => !isShown(pointer))
  const title = `This is not ${done} yet: some values are not right`
  return errors.length ? (
    <Failure problem={{ title, status: problem.status, code: problem.code, errors }} />
  ) : (
    <p class="field-error" role="alert">
      {title}. See the fields in red.
    </p>
  )
}

export function Field({ label, hint, pointer, problem, children }: Props) {
  const id = useId()
  const errors = pointer ? errorsAt(problem, pointer) : []
  const notes = hint || errors.length > 0
  return (
    <div class={`field${errors.length ? ' has-error' : ''}`}>
      <label for={id}>{label}</label>
      {children(id, notes ? `${id}-notes` : undefined)}
      {notes && (
        <div id={`${id}-notes`}>
          {pointer && <FieldErrors problem={problem} pointer={pointer} />}
          {hint && <p class="faint">{hint}</p>}
        </div>
      )}
    </div>
  )
}
