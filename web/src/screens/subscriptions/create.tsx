// Makes a subscription, then goes to its page, which shows the secret.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem } from '../../api/client'
import { isAll } from '../../api/session'
import { go, href } from '../../route'
import { FormFailure } from '../../ui/field'
import { Icon } from '../../ui/icons'
import { ChooseTenant } from '../events/publish'
import { creation, draftOf } from './draft'
import { FIELDS, SubscriptionForm } from './form'
import { made } from './made'

export function CreateSubscriptionPage() {
  if (isAll.value) return <ChooseTenant what="A subscription belongs to one tenant." />
  return (
    <div class="sheet wide-sheet">
      <a class="back" href={href('/subscriptions')}>
        <Icon name="left" /> Subscriptions
      </a>
      <Create />
    </div>
  )
}

function Create() {
  const [draft, setDraft] = useState(() => draftOf(null))
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const create = async () => {
    const form = creation(draft)
    if ('problem' in form) return setProblem(form.problem)
    setBusy(true)
    setProblem(null)
    try {
      const one = await made.keep(post('/subscriptions/', { body: form.body }))
      // The way back leads to the list, not to an empty form.
      go(href(`/subscriptions/${one.id}`), 'replace')
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  return (
    <>
      <h1>New subscription</h1>
      <SubscriptionForm stored={null} draft={draft} change={(part) => setDraft((was) => ({ ...was, ...part }))} problem={problem} submit={() => void create()}>
        <FormFailure problem={problem} fields={FIELDS} />
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
