// Placeholders: error, empty list, no match; and the note on data that could not be loaded again.
import type { ComponentChildren } from 'preact'
import type { Problem } from '../api/client'
import type { Resource } from '../api/resource'
import { Icon, type IconName } from './icons'
import { Id, Moment } from './moment'

export function Failure({ problem, retry }: { problem: Problem; retry?: (() => void) | undefined }) {
  return (
    <div class="state failure" role="alert">
      <Icon name="warn" />
      <div>
        <strong>{problem.title}</strong>
        {problem.detail && problem.detail !== problem.title && <p>{problem.detail}</p>}
        {problem.errors?.map((error) => (
          <p key={error.pointer}>
            <code>{error.pointer}</code> {error.detail}
          </p>
        ))}
        {problem.request_id && (
          <p class="faint">
            Request <Id id={problem.request_id} whole />
          </p>
        )}
        {retry && (
          <button type="button" class="button" onClick={retry}>
            Try again
          </button>
        )}
      </div>
    </div>
  )
}

/** Says that what is shown is old, where loading it again failed. */
export function Outdated({ of: { data, problem, askedAt } }: { of: Resource<unknown> }) {
  if (!problem || data === null) return null
  const at = new Date(Date.now() - performance.now() + askedAt).toISOString()
  return (
    <p class="note amber" role="status">
      Not current: last read <Moment at={at} />. {problem.title}.
    </p>
  )
}

interface EmptyProps {
  icon: IconName
  title: string
  children?: ComponentChildren
  /** There is nothing else on the page. */
  isPage?: boolean
}

export function Empty({ icon, title, children, isPage = false }: EmptyProps) {
  const Heading = isPage ? 'h1' : 'strong'
  return (
    <div class="state empty">
      <Icon name={icon} />
      <Heading>{title}</Heading>
      {children}
    </div>
  )
}

/** Grey bars in the shape of what comes. */
export function Bones({ lines = 3 }: { lines?: number }) {
  return (
    <div class="bones" role="status" aria-busy="true" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        <span key={line} class="bone" />
      ))}
    </div>
  )
}
