// One tenant: its limits and notes, where its things are, and what can be done with it.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { get } from '../../api/client'
import { useResource } from '../../api/resource'
import { href } from '../../route'
import { Unfilled } from '../../ui/dialog'
import { Icon } from '../../ui/icons'
import { exact, Id, Moment, number } from '../../ui/moment'
import { Bones, Failure } from '../../ui/states'
import { Fact } from '../deliveries/view'
import { DeleteTenant } from './delete'
import { TenantForm } from './form'
import type { Tenant } from './list'
import { isLinkShown, PortalLink } from './portal'

interface Props {
  id: string
  tools?: ComponentChildren
  changed?: () => void
  deleted: (tenant: Tenant) => void
}

export function TenantView({ id, tools, changed, deleted }: Props) {
  const tenant = useResource(id, (signal) => get('/tenants/{tenant}', { at: { tenant: id }, signal }))
  const [doing, setDoing] = useState<'edit' | 'delete' | 'portal' | null>(null)
  const stop = () => setDoing(null)
  const one = tenant.data
  if (!one) {
    return <Unfilled tools={tools}>{tenant.problem ? <Failure problem={tenant.problem} retry={tenant.reload} /> : <Bones lines={8} />}</Unfilled>
  }
  const Heading = tools ? 'h2' : 'h1'
  return (
    <article class="delivery">
      <header class="sheet-head">
        <span class="tenant-mark" aria-hidden="true">
          {one.name.slice(0, 1).toUpperCase()}
        </span>
        <Heading class="wrap">{one.name}</Heading>
        <span class="grow" />
        <button type="button" class="button" onClick={() => setDoing('edit')}>
          Edit
        </button>
        <button type="button" class="button primary" onClick={() => setDoing('portal')}>
          <Icon name="subscriptions" /> Portal link
        </button>
        {tools}
      </header>
      <nav class="leads" aria-label="Of this tenant">
        {(
          [
            ['/', 'Overview'],
            ['/subscriptions', 'Subscriptions'],
            ['/deliveries', 'Deliveries'],
            ['/events', 'Events'],
            ['/event-types', 'Event types'],
            ['/replays', 'Replays'],
            ['/keys', 'Keys'],
          ] as const
        ).map(([to, label]) => (
          <a key={to} href={href(to, { tenant: one.id })}>
            {label} <Icon name="right" />
          </a>
        ))}
      </nav>
      <Facts one={one} />
      <section class="danger-zone">
        <div>
          <strong>Delete this tenant</strong>
          <p class="faint">Its keys are revoked, its subscriptions end and what waits is cancelled.</p>
        </div>
        <button type="button" class="button" onClick={() => setDoing('delete')}>
          Delete…
        </button>
      </section>
      {doing === 'edit' && <TenantForm tenant={one} close={stop} done={() => (stop(), tenant.reload(), changed?.())} />}
      {(doing === 'portal' || isLinkShown(one)) && <PortalLink tenant={one} close={stop} />}
      {doing === 'delete' && <DeleteTenant tenant={one} close={stop} deleted={() => deleted(one)} />}
    </article>
  )
}

function Facts({ one }: { one: Tenant }) {
  const limit = (value: number | null | undefined) => (value === null || value === undefined ? <span class="faint">the instance’s default</span> : number(value))
  const notes = Object.entries(one.metadata)
  return (
    <>
      <dl class="facts">
        <Fact name="External id">{one.external_id ? <Id id={one.external_id} whole /> : <span class="faint">none</span>}</Fact>
        <Fact name="Id" wide>
          <Id id={one.id} whole />
        </Fact>
        <Fact name="Most subscriptions">{limit(one.limits.max_subscriptions)}</Fact>
        <Fact name="Most events a second">{limit(one.limits.publish_per_second)}</Fact>
        <Fact name="Created">
          <span title={exact(one.created_at)}>
            <Moment at={one.created_at} />
          </span>
        </Fact>
        <Fact name="Changed">
          <Moment at={one.updated_at} />
        </Fact>
      </dl>
      {notes.length > 0 && (
        <figure class="fields">
          <figcaption>Metadata</figcaption>
          <dl>
            {notes.map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </figure>
      )}
    </>
  )
}
