// One event type: what it is about, its schema, an example.
import { useState } from 'preact/hooks'
import { get, remove } from '../../api/client'
import { useResource } from '../../api/resource'
import { chosen, isAll, may } from '../../api/session'
import { go, here, href, query } from '../../route'
import { Confirm } from '../../ui/confirm'
import { Icon } from '../../ui/icons'
import { Json } from '../../ui/json'
import { Id, Moment } from '../../ui/moment'
import { Bones, Empty, Failure } from '../../ui/states'
import { Pill } from '../../ui/status'
import { useSubject } from '../../ui/title'
import { toast } from '../../ui/toast'
import { Fact } from '../deliveries/view'
import { ChooseTenant } from '../events/publish'
import type { EventType } from '../subscriptions/catalogue'
import { EventTypeForm } from './form'

export function EventTypePage({ params }: { params: Record<string, string> }) {
  if (isAll.value) return <ChooseTenant what="Each tenant has its own event types." />
  return (
    <div class="sheet">
      <a class="back" href={href('/event-types')}>
        <Icon name="left" /> Event types
      </a>
      <Loaded name={params.type ?? ''} />
    </div>
  )
}

export function NewEventTypePage() {
  if (isAll.value) return <ChooseTenant what="Each tenant has its own event types." />
  return (
    <div class="sheet">
      <a class="back" href={href('/event-types')}>
        <Icon name="left" /> Event types
      </a>
      <h1>New event type</h1>
      <EventTypeForm one={null} done={(made) => go(href(`/event-types/${made.name}`))} cancel={href('/event-types')} />
    </div>
  )
}

function Loaded({ name }: { name: string }) {
  const found = useResource(`${chosen.value}/${name}`, (signal) => get('/event-types/{name}', { at: { name }, signal }))
  useSubject(name)
  if (found.problem && !found.data) return <Failure problem={found.problem} retry={found.reload} />
  if (!found.data) return <Bones lines={8} />
  if (query.value.has('edit') && may.value.admin) {
    const back = here({ edit: null })
    const saved = () => {
      toast('Saved')
      found.reload()
      go(back)
    }
    return (
      <>
        <h1 class="wrap">Edit {name}</h1>
        <EventTypeForm one={found.data} done={saved} cancel={back} />
      </>
    )
  }
  return <Shown one={found.data} />
}

function Shown({ one }: { one: EventType }) {
  const [deleting, setDeleting] = useState(false)
  const end = async () => {
    await remove('/event-types/{name}', { at: { name: one.name } })
    toast('Deleted')
    go(href('/event-types'))
  }
  return (
    <>
      <header class="sheet-head">
        {one.deprecated && <Pill tone="amber">Deprecated</Pill>}
        <h1 class="mono">{one.name}</h1>
        <span class="grow" />
        {may.value.admin && (
          <>
            <button type="button" class="button" onClick={() => setDeleting(true)}>
              <Icon name="trash" /> Delete
            </button>
            <a class="button primary" href={here({ edit: 'yes' })}>
              <Icon name="edit" /> Edit
            </a>
          </>
        )}
      </header>
      {one.description && <p class="wrap">{one.description}</p>}
      {one.deprecated && (
        <div class="why amber">
          <Icon name="warn" />
          <p>Producers and receivers should stop using it. It is still accepted and delivered.</p>
        </div>
      )}
      <dl class="facts">
        <Fact name="Name">
          <Id id={one.name} whole />
        </Fact>
        <Fact name="Payloads">{one.validate ? 'refused if they break the schema' : 'not checked'}</Fact>
        <Fact name="Created">
          <Moment at={one.created_at} />
        </Fact>
        <Fact name="Changed">
          <Moment at={one.updated_at} />
        </Fact>
        <Fact name="Its events">
          <a href={href('/events', { event_type: one.name })}>Show them</a>
        </Fact>
      </dl>
      {one.schema && <Json label="Schema" text={JSON.stringify(one.schema)} />}
      {one.example && <Json label="Example" text={JSON.stringify(one.example)} />}
      {!one.schema && !one.example && (
        <Empty icon="types" title="It has no schema and no example yet">
          <p>A schema says which fields a payload has. An example shows one.</p>
        </Empty>
      )}
      {deleting && (
        <Confirm title="Delete the event type" verb="Delete" danger act={end} close={() => setDeleting(false)}>
          <p>
            The description of <strong class="mono wrap">{one.name}</strong> is deleted{one.validate ? ', and its payloads are not checked any more' : ''}.
          </p>
          <p class="faint">Events of this type are still accepted, and subscriptions to it stay.</p>
        </Confirm>
      )}
    </>
  )
}
