// The form about a subscription, for a new one and for changes.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Problem } from '../../api/client'
import { useResource } from '../../api/resource'
import { chosen, may } from '../../api/session'
import { errorsAt, Field } from '../../ui/field'
import { loadCatalogue } from './catalogue'
import { type Draft, faultyCondition } from './draft'
import { FilterField } from './filter_field'
import { FilterTest, useFields, useTrial } from './filter_test'
import { Pairs } from '../../ui/pairs'
import { Auth, Check, Limits, Retries } from './form_parts'
import { TargetField } from './target_field'
import { TypesField } from './types_field'

interface Props {
  draft: Draft
  change: (part: Partial<Draft>) => void
  problem: Problem | null
  /** Null for a new one. */
  stored: Draft | null
  children: ComponentChildren
  submit: () => void
}

/** Fields of the part that is closed at first. */
const ADVANCED = ['/headers', '/auth', '/request_timeout_ms', '/retry_schedule', '/rate_limit', '/max_in_flight', '/ordered', '/skip_after_attempts', '/metadata', '/verify_ingest', '/secret_key']

/** Fields that show what is wrong with them. */
export const FIELDS = ['/target_url', '/description', '/external_id', '/event_types', '/filter', ...ADVANCED.filter((pointer) => pointer !== '/ordered' && pointer !== '/verify_ingest')]

const usesAdvanced = (draft: Draft) =>
  Boolean(draft.headers.length || draft.metadata.length || draft.auth.type || draft.request_timeout_ms || draft.retry_schedule || draft.rate_limit || draft.max_in_flight || draft.ordered || draft.verify_ingest)

export function SubscriptionForm({ draft, change, problem, stored, children, submit }: Props) {
  const isNew = stored === null
  const catalogue = useResource(`catalogue/${chosen.value}`, loadCatalogue)
  const trial = useTrial(draft.all ? [] : draft.event_types, draft.filter, draft.all || draft.event_types.length > 0)
  const fields = useFields(trial.tested)
  const [open, setOpen] = useState(() => usesAdvanced(draft))
  useEffect(() => {
    if (ADVANCED.some((pointer) => errorsAt(problem, pointer).length)) setOpen(true)
    // The first field that is wrong, once it stands there.
    if (problem?.errors?.length) requestAnimationFrame(() => document.querySelector('.field .field-error')?.scrollIntoView({ block: 'center' }))
  }, [problem])
  // The trial finds what is wrong with them before the form is sent.
  const about = (pointer: string) => (errorsAt(problem, pointer).length ? problem : trial.problem)
  return (
    <div class="form-and-trial">
      <form class="form" onSubmit={(event) => (event.preventDefault(), submit())}>
        <Part title="Target" note="Where events go.">
          <TargetField url={draft.target_url} stored={stored?.target_url} change={(target_url) => change({ target_url })} problem={problem} />
          <div class="form-row">
            <Field label="Description" pointer="/description" problem={problem}>
              {(id, described) => <input id={id} aria-describedby={described} maxLength={500} value={draft.description} onInput={(event) => change({ description: event.currentTarget.value })} />}
            </Field>
            <Field label="External id" pointer="/external_id" problem={problem} hint="Your own id for it. Optional.">
              {(id, described) => (
                <input id={id} aria-describedby={described} class="mono" spellcheck={false} value={draft.external_id} onInput={(event) => change({ external_id: event.currentTarget.value })} />
              )}
            </Field>
          </div>
        </Part>
        <Part title="Events" note="Which events it gets. A change counts from the next event on.">
          <TypesField all={draft.all} chosen={draft.event_types} typed={draft.typed_type} change={change} catalogue={catalogue} problem={about('/event_types')} />
          <FilterField draft={draft} change={change} fields={fields} problem={faultyCondition(draft) ? problem : about('/filter')} />
        </Part>
        <details class="form-part" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>
            <h2>Advanced</h2> <span class="faint">Headers, authorization, retries, limits, order</span>
          </summary>
          <div class="form-fields">
            <Pairs label="Headers" add="Add a header" pointer="/headers" pairs={draft.headers} problem={problem} change={(headers) => change({ headers })} hint="Sent with every request. A masked value stays as it is." names="X-Api-Key" />
            <Auth auth={draft.auth} change={(auth) => change({ auth })} problem={problem} />
            <Retries schedule={draft.retry_schedule} change={(retry_schedule) => change({ retry_schedule })} problem={problem} />
            <Limits {...{ draft, change, problem }} />
            <Check label="Keep the order" on={draft.ordered} change={(ordered) => change({ ordered })} hint="Events with one ordering key are sent one after the other." />
            {draft.ordered && (
              <Field label="Skip after failed attempts" pointer="/skip_after_attempts" problem={problem} hint="Then the next event with that ordering key is sent. Empty: when no retries are left.">
                {(id, described) => (
                  <input id={id} aria-describedby={described} class="short" type="number" min="1" max="1000" value={draft.skip_after_attempts} onInput={(event) => change({ skip_after_attempts: event.currentTarget.value })} />
                )}
              </Field>
            )}
            {!isNew && may.value.staff && <Check label="Only signed requests to /ingest" on={draft.verify_ingest} change={(verify_ingest) => change({ verify_ingest })} hint="A producer that posts to /ingest has to sign with the secret, or as the provider does." />}
            <Pairs label="Metadata" add="Add an entry" pointer="/metadata" pairs={draft.metadata} problem={problem} change={(metadata) => change({ metadata })} hint="Your own data about it." names="team" />
            {isNew && (
              <Field label="Secret" pointer="/secret_key" problem={problem} hint="Empty: a new one is made. Your own: whsec_ and base64, or 8 to 256 bytes of text. With your own, requests to /ingest have to be signed.">
                {(id, described) => (
                  <input id={id} aria-describedby={described} class="mono" spellcheck={false} autocomplete="off" value={draft.secret_key} onInput={(event) => change({ secret_key: event.currentTarget.value })} />
                )}
              </Field>
            )}
          </div>
        </details>
        {children}
      </form>
      <FilterTest trial={trial} filtered={Boolean(draft.filter.trim())} />
    </div>
  )
}

function Part({ title, note, children }: { title: string; note: string; children: ComponentChildren }) {
  return (
    <section class="form-part">
      <header>
        <h2>{title}</h2> <span class="faint">{note}</span>
      </header>
      <div class="form-fields">{children}</div>
    </section>
  )
}
