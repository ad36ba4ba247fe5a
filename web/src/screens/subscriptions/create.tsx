// Makes a subscription, then shows its secret.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem } from '../../api/client'
import { isAll } from '../../api/session'
import { href } from '../../route'
import { Icon } from '../../ui/icons'
import { Failure } from '../../ui/states'
import { ChooseTenant } from '../events/publish'
import { creation, draftOf } from './draft'
import { SubscriptionForm } from './form'
import { NewSecret, Verification } from './secret'
import { nameOf, type Subscription } from './state'

export function CreateSubscriptionPage() {
  const [made, setMade] = useState<Subscription | null>(null)
  if (isAll.value) return <ChooseTenant what="A subscription belongs to one tenant." />
  return (
    <div class="sheet wide-sheet">
      <a class="back" href={href('/subscriptions')}>
        <Icon name="left" /> Subscriptions
      </a>
      {made ? <Made one={made} /> : <Create done={setMade} />}
    </div>
  )
}

function Create({ done }: { done: (made: Subscription) => void }) {
  const [draft, setDraft] = useState(() => draftOf(null))
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const create = async () => {
    const made = creation(draft)
    if ('problem' in made) return setProblem(made.problem)
    setBusy(true)
    setProblem(null)
    try {
      done(await post('/subscriptions/', { body: made.body }))
      window.scrollTo({ top: 0 })
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  return (
    <>
      <h1>New subscription</h1>
      <SubscriptionForm stored={null} draft={draft} change={(part) => setDraft((was) => ({ ...was, ...part }))} problem={problem} submit={() => void create()}>
        {problem && <Failure problem={problem} />}
        <footer class="form-foot">
          <a class="button" href={href('/subscriptions')}>
            Cancel
          </a>
          <button type="submit" class="button primary" disabled={busy}>
            Create
          </button>
        </footer>
      </SubscriptionForm>
    </>
  )
}

function Made({ one }: { one: Subscription }) {
  const page = (part: string | null) => href(`/subscriptions/${one.id}`, { part })
  return (
    <>
      <header class="sheet-head">
        <h1>{nameOf(one)} gets events from now on</h1>
        <span class="grow" />
        <a class="button" href={page(null)}>
          To the subscription
        </a>
        <a class="button primary" href={page('testing')}>
          <Icon name="send" /> Send a test event
        </a>
      </header>
      {one.notice && <p class="note blue">{one.notice}</p>}
      <NewSecret secret={one.secret_key} />
      <Verification secret={one.secret_key} />
    </>
  )
}
