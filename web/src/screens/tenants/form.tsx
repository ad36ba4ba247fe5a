// Creates a tenant, or changes one.
import { useState } from 'preact/hooks'
import { asProblem, patch, post, type Problem } from '../../api/client'
import { tenantsChanged } from '../../api/sign_in'
import { remember } from '../../shell/tenants'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Field, FormFailure } from '../../ui/field'
import { objectOf, Pairs, pairsOf, withRemoved } from '../../ui/pairs'
import { toast } from '../../ui/toast'
import type { Tenant } from './list'

const FIELDS = ['/name', '/external_id', '/limits/max_subscriptions', '/limits/publish_per_second', '/metadata']

interface Props {
  /** The one to change; a new one without. */
  tenant?: Tenant
  close: () => void
  done: (tenant: Tenant) => void
}

/** The server keeps so many. */
const MOST_METADATA = 50

const text = (limit: number | null | undefined) => (limit === null || limit === undefined ? '' : String(limit))
const amount = (text: string) => (text.trim() ? Number(text) : null)

export function TenantForm({ tenant, close, done }: Props) {
  const [name, setName] = useState(tenant?.name ?? '')
  const [external, setExternal] = useState(tenant?.external_id ?? '')
  const [subscriptions, setSubscriptions] = useState(text(tenant?.limits.max_subscriptions))
  const [events, setEvents] = useState(text(tenant?.limits.publish_per_second))
  const [metadata, setMetadata] = useState(() => pairsOf(tenant?.metadata ?? {}))
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const title = tenant ? 'Edit tenant' : 'New tenant'
  const save = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    const limits = { max_subscriptions: amount(subscriptions), publish_per_second: amount(events) }
    const external_id = external.trim() || null
    try {
      const saved = tenant
        ? await patch('/tenants/{tenant}', { at: { tenant: tenant.id }, body: { name, external_id, limits, metadata: withRemoved(tenant.metadata, objectOf(metadata)) } as never })
        : await post('/tenants', { body: { name, external_id, limits, metadata: objectOf(metadata) } as never })
      if (!tenant) void tenantsChanged()
      remember([saved])
      toast(tenant ? 'Saved' : 'Created')
      done(saved)
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
      <form onSubmit={(event) => void save(event)}>
        <Field label="Name" pointer="/name" problem={problem} hint="For people. It need not be unique.">
          {(id, described) => <input id={id} aria-describedby={described} required maxLength={100} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <Field label="External id" pointer="/external_id" problem={problem} hint="Your own id for it. It works wherever its id does.">
          {(id, described) => (
            <input id={id} aria-describedby={described} class="mono" maxLength={255} spellcheck={false} placeholder="cust-42" value={external} onInput={(event) => setExternal(event.currentTarget.value)} />
          )}
        </Field>
        <div class="field-pair">
          <Field label="Most subscriptions" pointer="/limits/max_subscriptions" problem={problem} hint="Empty: the instance’s default.">
            {(id, described) => <input id={id} aria-describedby={described} type="number" min="1" value={subscriptions} onInput={(event) => setSubscriptions(event.currentTarget.value)} />}
          </Field>
          <Field label="Most events a second" pointer="/limits/publish_per_second" problem={problem} hint="Empty: the instance’s default.">
            {(id, described) => <input id={id} aria-describedby={described} type="number" min="1" value={events} onInput={(event) => setEvents(event.currentTarget.value)} />}
          </Field>
        </div>
        <Pairs label="Metadata" add="Add an entry" pointer="/metadata" pairs={metadata} problem={problem} change={setMetadata} hint="Your own data about it." names="plan" most={MOST_METADATA} />
        <FormFailure problem={problem} fields={FIELDS} done={tenant ? 'saved' : 'created'} />
        <footer class="dialog-foot">
          <button type="button" class="button" onClick={close}>
            Close
          </button>
          <button type="submit" class="button primary" disabled={busy}>
            {tenant ? 'Save' : 'Create'}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
